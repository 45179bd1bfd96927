"""Painting while the camera runs: capture, paint small, enlarge along the source, show."""
