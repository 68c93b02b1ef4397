"""The physics of a powder pattern, from a crystal to counts."""
