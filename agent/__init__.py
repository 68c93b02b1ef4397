"""The agent: documents in, evidence and suggestions out."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from phasepilot.agent.configuration import AgentConfiguration
    from phasepilot.agent.phase_agent import PhaseAgent

__all__ = ["AgentConfiguration", "PhaseAgent"]


def __getattr__(name: str) -> Any:
    # Lazy, so that importing phasepilot.agent does not load an inference engine.
    if name == "PhaseAgent":
        from phasepilot.agent.phase_agent import PhaseAgent

        return PhaseAgent
    if name == "AgentConfiguration":
        from phasepilot.agent.configuration import AgentConfiguration

        return AgentConfiguration
    raise AttributeError(f"module 'phasepilot.agent' has no attribute {name!r}")
