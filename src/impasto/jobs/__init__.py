"""Many runs as one piece of work: finished runs are kept, and stopped ones resume."""
