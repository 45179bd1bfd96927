"""A job opened once: planned, inputs read and weights loaded, painted, paused, and reproduced."""
