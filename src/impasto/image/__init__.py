"""Bytes to pixels and back, and what can be done to pixels without a network."""
