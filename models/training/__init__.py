"""How the networks that ship are trained (needs the train extra)."""
