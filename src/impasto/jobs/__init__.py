"""Many runs as one piece of work: each is kept as soon as it is done, and what is stopped goes on."""
