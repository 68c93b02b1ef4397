"""One way from counts to what a network sees, for measured and simulated patterns alike."""
