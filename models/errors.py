"""What can be wrong with the numbers handed to us.

::

    ModelsError(ValueError)
    ├── PatternError        a pattern that cannot be used, or lacks its wavelength
    ├── CrystalError        a structure that cannot be simulated
    ├── GeometryError       a detector geometry that cannot be used, or does not fit its image
    ├── StickStoreError     stick lists that are missing or of something else
    ├── RecipeError         a recipe of patterns that cannot be read or followed
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


class GeometryError(ModelsError):
    """A detector geometry cannot be used, or does not fit its image."""


class StickStoreError(ModelsError):
    """Stick lists are missing, or were computed from something else."""


class RecipeError(ModelsError):
    """A recipe of patterns cannot be read or followed."""


class UnknownModelError(ModelsError):
    """There is no network of that name."""


class WeightsError(ModelsError):
    """A weights file is missing, damaged or not the one that its card describes."""


class TrainingError(ModelsError):
    """A training configuration or checkpoint does not fit."""
