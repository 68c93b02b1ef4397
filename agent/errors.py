"""What can go wrong around the agent, outside of its own numbers.

::

    AgentError(RuntimeError)
    └── PatternFileError    a file that holds no powder pattern that we can read
"""


class AgentError(RuntimeError):
    """Base of every error raised by phasepilot.agent; its text is one sentence for the user."""


class PatternFileError(AgentError):
    """A file holds no powder pattern that we can read."""
