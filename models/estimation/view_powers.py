"""The powers that answers of pattern and image are raised to, as they were fitted."""

from phasepilot.models.diffraction.images.image_kind import ImageKind
from phasepilot.models.estimation.view_combination import Powers

# Fitted by `phasepilot benchmark orientations` on one half of the held-out families, so that the
# other half could test them.
OF_SPOTS = Powers(pattern=0.3, image=0.7)
OF_RINGS = Powers(pattern=0.8, image=0.2)
_SPOTS = frozenset({ImageKind.SINGLE_CRYSTAL, ImageKind.DIFFUSE})


def powers_for(kind: ImageKind) -> Powers:
    """Return the powers for an image of that kind.

    A sample of few grains is one whose spots may be too weak to be seen: diffuse counts as spots.
    """
    return OF_SPOTS if kind in _SPOTS else OF_RINGS
