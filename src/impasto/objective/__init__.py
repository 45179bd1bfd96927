"""Encoder, losses and weights together: one callable that gives a total and its named parts."""
