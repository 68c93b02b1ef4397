"""Networks that name phases: their definitions, files and cards."""
