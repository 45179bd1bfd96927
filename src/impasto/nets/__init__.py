"""Trainable networks that repaint a picture in one pass."""
