"""The local studio: a page and an HTTP API."""
