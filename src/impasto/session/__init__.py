"""A job opened once: planned, its inputs read and its weights loaded, painted, paused, and made again."""
