"""A tree of databroker's Mongo adapter, for a Tiled profile: mongomock in place of a database."""

from pathlib import Path
from typing import Any

from databroker.mongo_normalized import MongoAdapter

from phasepilot.agent.archive.document_files import read_records


def filled_tree(documents: str) -> Any:
    """Return the adapter with the runs of a file in it."""
    tree = MongoAdapter.from_mongomock()
    serializer = tree.get_serializer()
    for name, doc in read_records(Path(documents)):
        serializer(name, doc)
    return tree
