"""Measures of how right the agent is, on data it never saw; `phasepilot benchmark` runs them."""
