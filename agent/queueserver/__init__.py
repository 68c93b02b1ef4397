"""An agent that adds and reorders plans in the queue of a bluesky-queueserver."""
