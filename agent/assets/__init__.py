"""Arrays that stand in files beside the documents: where they are, and how they are read."""
