"""Optical flow: its estimation, warping along it, and where it can be trusted."""
