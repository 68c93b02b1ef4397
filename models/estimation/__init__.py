"""One calibrated answer from a network, a search over known structures and a physics check."""
