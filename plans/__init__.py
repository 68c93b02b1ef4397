"""Bluesky plans that ask an advisor and obey within their own limits."""
