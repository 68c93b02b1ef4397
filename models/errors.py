"""What can be wrong with the numbers handed to us.

::

    ModelsError(ValueError)
    ├── PatternError        a pattern that cannot be used, or lacks its wavelength
    ├── CrystalError        a structure that cannot be simulated
    ├── UnknownModelError   no network of that name
    ├── WeightsError        a weights file that is missing, damaged or not the one of its card
    └── TrainingError       a training configuration or checkpoint that does not fit
"""


class ModelsError(ValueError):
    """Base of every error raised by phasepilot.models; its text is one sentence for the user."""


class PatternError(ModelsError):
    """A pattern cannot be used."""


class CrystalError(ModelsError):
    """A crystal structure cannot be simulated."""


class UnknownModelError(ModelsError):
    """There is no network of that name."""


class WeightsError(ModelsError):
    """A weights file is missing, damaged or not the one that its card describes."""


class TrainingError(ModelsError):
    """A training configuration or checkpoint does not fit."""
