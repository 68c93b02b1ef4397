"""Materials that change phase under pressure, and the patterns that they show."""
