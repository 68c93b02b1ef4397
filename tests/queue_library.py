"""The samples that the RE Manager of the tests has on its stage."""

import numpy as np

from phasepilot.sim_devices.sample_library import SampleLibrary, sample_library


def small_library() -> SampleLibrary:
    """Six samples, each of nearly one phase."""
    return sample_library(
        np.random.default_rng(2),
        n_columns=3,
        n_rows=2,
        n_bad_of_each=0,
        mixing_length_mm=0.3,
        peak_rate_per_s=5.0,
    )


def truth() -> dict[str, str]:
    """The main phase of each."""
    library = small_library()
    found = {sample.name: library.phases_of(sample.name) for sample in library.samples}
    return {name: max(phases, key=lambda phase: phases[phase]) for name, phases in found.items()}
