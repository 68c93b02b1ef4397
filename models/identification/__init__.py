"""Which known crystals explain a pattern: templates, search over many structures, verification."""
