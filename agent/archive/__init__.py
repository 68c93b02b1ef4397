"""Where documents are kept: on disk first, then in Tiled; and how they are read back."""
