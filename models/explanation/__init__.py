"""Which lines of a pattern an answer rests on."""
