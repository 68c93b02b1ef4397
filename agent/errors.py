"""What can go wrong in the agent, outside the numbers.

::

    AgentError(RuntimeError)
    ├── ConfigurationError  settings that cannot be used, or that contradict each other
    ├── PatternFileError    a file of patterns that cannot be read
    ├── AgentSilentError    an agent in another process that does not answer
    ├── QueueError          a queue of plans that does not do what it is told
    ├── AssetError          a detector's file that does not come, or cannot be read
    ├── ReplayError         runs that cannot be judged again
    └── ArchiveError        runs that cannot be kept, found or read back
        └── DocumentError   a document, or a log of documents, that cannot be used
"""


class AgentError(RuntimeError):
    """Base of every error raised by phasepilot.agent; its text is one sentence for the user."""


class ConfigurationError(AgentError):
    """Settings cannot be used, or contradict each other."""


class PatternFileError(AgentError):
    """A file of patterns cannot be read."""


class AssetError(AgentError):
    """A detector's file does not come, or cannot be read."""


class ReplayError(AgentError):
    """Runs cannot be judged again."""


class ArchiveError(AgentError):
    """Runs cannot be kept, found or read back."""


class DocumentError(ArchiveError):
    """A document, or a log of documents, cannot be used."""


class AgentSilentError(AgentError):
    """An agent in another process does not answer."""


class QueueError(AgentError):
    """A queue of plans does not do what it is told."""
