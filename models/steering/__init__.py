"""Rules that turn what is known into a suggestion."""
