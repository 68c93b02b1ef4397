"""Following the lattice from frame to frame and noticing that something changed."""
