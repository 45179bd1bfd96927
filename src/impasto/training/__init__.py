"""Training: data, one `fit` loop, and the tasks."""
