"""Neural style transfer: optimisation, fast networks and arbitrary style in one tool."""
