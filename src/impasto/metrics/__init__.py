"""Measures of a result: how much content it kept, how much style and colour it took."""
