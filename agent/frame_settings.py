"""The parts of a configuration that are about files and images."""

import re
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from phasepilot.agent.known_lines import MATERIALS


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class ImageSettings(_Settings):
    """How images of an area detector become patterns.

    Attributes
    ----------
    poni : str
        Path of the geometry that pyfai-calib2 or Dioptas saved.
    orientation : {"as_read", "flipped_up_down", "flipped_left_right", "rotated_half_turn"}
        What to do with an image before the geometry applies. Dioptas flips TIFF files up and down.
    mask : str or None
        Path of an image that is not 0 at the pixels to leave out, as pyFAI and Dioptas save it.
    dark, flat : str or None
        Paths of the image without beam, subtracted, and of the pixels' efficiency, divided by.
    polarization_factor : float or None
        1 for a beam polarised along the rows of the image (horizontally), 0 for an unpolarised
        one; None corrects nothing.
    solid_angle : bool
        Whether to correct for the solid angle of each pixel.
    saturation_counts : float or None
        Pixels that hold at least this much are full; None knows only those of 16-bit detectors.
    spots : {"keep", "remove"}
        What to do with spots of single crystals, such as the anvils of a cell.
    n_bins, n_chi : int
        Points of the pattern over all angles, and sectors of the azimuth that spots are looked for
        in.
    network : str or None
        Name of the network that looks at the image itself, beside that of the pattern; None leaves
        the answer to the pattern.
    views : {"separate", "one_crystal"}
        Whether the images of a run are of one crystal that is turned: they are then added up, and
        what each says is fused.
    """

    poni: str
    orientation: Literal[
        "as_read", "flipped_up_down", "flipped_left_right", "rotated_half_turn"
    ] = "as_read"
    mask: str | None = None
    dark: str | None = None
    flat: str | None = None
    polarization_factor: float | None = Field(0.99, ge=-1, le=1)
    solid_angle: bool = True
    saturation_counts: float | None = Field(None, gt=0)
    spots: Literal["keep", "remove"] = "keep"
    n_bins: int = Field(1500, ge=64, le=20_000)
    n_chi: int = Field(180, ge=24, le=720)
    network: str | None = None
    views: Literal["separate", "one_crystal"] = "separate"

    @model_validator(mode="after")
    def _check_views(self) -> Self:
        if self.views == "one_crystal" and self.spots == "remove":
            raise ValueError(
                "a crystal shows nothing but spots; leave spots: remove out, or views: one_crystal"
            )
        return self


class IgnoreSettings(_Settings):
    """What is none of the sample's.

    Attributes
    ----------
    plans : tuple of str
        Runs of these plans are not looked at, such as alignment scans.
    q_ranges_per_angstrom, two_theta_ranges_deg : tuple of pairs
        Ranges that count as not measured.
    lines_of : tuple of str
        Known materials in the beam, whose lines count as not measured: anvils, gasket, windows.
    d_spacings_angstrom : tuple of float
        More such lines.
    line_half_width : float
        How far such a range reaches on both sides, as a fraction of q.
    """

    plans: tuple[str, ...] = ()
    q_ranges_per_angstrom: tuple[tuple[float, float], ...] = ()
    two_theta_ranges_deg: tuple[tuple[float, float], ...] = ()
    lines_of: tuple[str, ...] = ()
    d_spacings_angstrom: tuple[float, ...] = ()
    line_half_width: float = Field(default=0.01, gt=0, lt=0.2)

    @field_validator("q_ranges_per_angstrom", "two_theta_ranges_deg")
    @classmethod
    def _check_ranges(
        cls, ranges: tuple[tuple[float, float], ...]
    ) -> tuple[tuple[float, float], ...]:
        for low, high in ranges:
            if not low < high:
                raise ValueError(f"a range must run upwards, but one is {low:g} to {high:g}")
        return ranges

    @field_validator("lines_of")
    @classmethod
    def _check_materials(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        unknown = sorted(set(names) - set(MATERIALS))
        if unknown:
            raise ValueError(
                f"lines are known of {sorted(MATERIALS)}, but not of {unknown}; list their"
                " d_spacings_angstrom instead"
            )
        return names


class AssetSettings(_Settings):
    """How files beside the documents are found.

    Attributes
    ----------
    root_map : dict of str to str
        Folders as the documents name them, and where they are on this machine.
    wait_s : float
        How long to wait for a file that comes late, in the agent's thread.
    """

    root_map: dict[str, str] = Field(default_factory=dict)
    wait_s: float = Field(default=10.0, ge=0, le=600)

    @field_validator("root_map")
    @classmethod
    def _check_roots(cls, roots: dict[str, str]) -> dict[str, str]:
        for root in roots:
            if not re.match(r"/|[A-Za-z]:[\\/]|\\\\", root):
                raise ValueError(f"a root must be a whole path such as /data, but is {root!r}")
        return roots
