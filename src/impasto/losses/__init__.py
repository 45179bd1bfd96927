"""Pure loss functions: statistics of features, distances between them, smoothness, and one table that joins them."""
