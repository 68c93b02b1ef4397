"""The powers that answers of pattern and image are raised to, as they were fitted."""

from phasepilot.models.estimation.view_combination import Powers

# Fitted by `phasepilot benchmark orientations --simulated 80 --seeds 3` on one half of the held-out
# families, so that the other half could test them; means over the seeds.
POWERS = Powers(pattern=0.64, image=0.55)
