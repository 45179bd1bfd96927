"""Image to `{layer name: features}`."""
