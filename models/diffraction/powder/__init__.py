"""Powder patterns from stick lists: one small pure function an effect, and recipes of them."""
