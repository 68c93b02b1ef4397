"""How far an answer can be trusted: calibration, sets, what is novel, what is no pattern at all."""
