"""What an agent finds, as EPICS process variables for any control screen."""
