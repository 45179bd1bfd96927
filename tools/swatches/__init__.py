"""The drawings behind the package's style swatches."""
