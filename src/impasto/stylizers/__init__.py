"""Stylizers: two verbs, `prepare` and `paint`."""
