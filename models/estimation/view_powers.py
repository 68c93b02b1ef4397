"""The powers that answers of pattern and image are raised to, as they were fitted."""

from phasepilot.models.estimation.view_combination import Powers

# Fitted by `phasepilot benchmark orientations` on one half of the held-out families, so that the
# other half could test them.
POWERS = Powers(pattern=0.3, image=0.7)
