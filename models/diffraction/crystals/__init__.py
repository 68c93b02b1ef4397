"""Crystal structures: read, made up, changed, and what their symmetry says."""
