"""Two-dimensional frames: spots of single crystals, rings of powders, and their integration."""
