"""The agent: documents in, evidence and suggestions out."""
