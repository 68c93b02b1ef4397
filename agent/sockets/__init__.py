"""Documents to an agent in another process or host, and its advice back, without pickle."""
