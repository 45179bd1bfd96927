"""Methods: one object for each way of painting, from a job's options to a stylizer."""
