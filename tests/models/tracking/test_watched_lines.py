from dataclasses import replace

import numpy as np
import pytest

from phasepilot.models.pattern import Pattern
from phasepilot.models.preprocessing.configuration import Preprocessing
from phasepilot.models.preprocessing.preparation import prepare_pattern
from phasepilot.models.tracking.phase_state import SeenIn, Stage, TrackerSettings
from phasepilot.models.tracking.phase_tracker import advance
from phasepilot.models.tracking.tracker_state import TrackerState

LINES = ((1.0, 2.0), (0.6, 2.83), (0.35, 3.46), (0.3, 4.0), (0.25, 4.47), (0.2, 5.2))
N_BEFORE, N_FRAMES = 40, 80
SETTINGS = TrackerSettings()


def frame(rng, *, strain, heights=(), left=1.0, splitting=0.0, scale=2000.0):
    """Return lines that are strained, of other heights, faded to a share, or split."""
    q = np.linspace(0.6, 6.0, 4000)
    total = np.full(q.size, 0.06) + 0.03 * (1 - left) * np.exp(-(((q - 2.5) / 0.6) ** 2))
    for (height, centre), factor in zip(LINES, heights or [1.0] * len(LINES), strict=True):
        for half, share in ((-1, 1 / 3), (0.5, 2 / 3)):
            place = centre / (1 + strain) * (1 + half * splitting)
            line = np.exp(-4 * np.log(2) * ((q - place) / (0.004 * centre)) ** 2)
            total += left * factor * share * height * line
    counts = rng.poisson(scale * total).astype(float)
    return prepare_pattern(Pattern.from_q(q, counts), Preprocessing())


def follow(frames, settings=SETTINGS) -> list[TrackerState]:
    state, states = None, []
    for number, one in enumerate(frames, start=1):
        state = advance(state, one, seq_num=number, axis_value=0.1 * number, settings=settings)
        states.append(state)
    return states


def grown(k: int, n_frames: int = 20) -> float:
    return min(max((k - N_BEFORE) / n_frames, 0.0), 1.0)


def first_alarm(states) -> int:
    stages = [state.phase.stage for state in states]
    return stages.index(Stage.CHANGING) if Stage.CHANGING in stages else N_FRAMES


@pytest.mark.parametrize("seed", range(2))
def test_lines_that_fade_are_a_change_and_what_is_lost_is_told(seed):
    rng = np.random.default_rng(seed)
    states = follow(
        frame(rng, strain=-0.0004 * k, left=1 - 0.97 * grown(k)) for k in range(N_FRAMES)
    )
    alarm = first_alarm(states)
    assert N_BEFORE < alarm <= N_BEFORE + 12
    assert states[alarm].phase.seen_in is SeenIn.FADING
    assert states[N_BEFORE + 16].phase.new_phase_fraction == pytest.approx(0.78, abs=0.1)
    assert states[-1].phase.stage is Stage.ESTABLISHED


@pytest.mark.parametrize("seed", range(2))
def test_a_beam_that_dims_is_no_fading(seed):
    rng = np.random.default_rng(seed)
    states = follow(
        frame(rng, strain=-0.0004 * k, scale=2000 * (1 - 0.9 * grown(k))) for k in range(N_FRAMES)
    )
    assert first_alarm(states) == N_FRAMES


@pytest.mark.parametrize("seed", range(2))
def test_lines_that_only_change_their_ratios_are_a_change(seed):
    rng = np.random.default_rng(seed)
    end = np.log([0.5, 1.8, 0.5, 1.6, 0.4, 1.9])
    states = follow(
        frame(rng, strain=-0.0004 * k, heights=tuple(np.exp(grown(k) * end)))
        for k in range(N_FRAMES)
    )
    alarm = first_alarm(states)
    assert N_BEFORE < alarm <= N_BEFORE + 15


@pytest.mark.parametrize("seed", range(2))
def test_lines_that_begin_to_split_are_a_change(seed):
    rng = np.random.default_rng(seed)
    states = follow(
        frame(rng, strain=-0.0004 * k, splitting=0.006 * grown(k, 30)) for k in range(N_FRAMES)
    )
    alarm = first_alarm(states)
    assert N_BEFORE < alarm <= N_BEFORE + 25
    assert states[alarm].phase.seen_in is SeenIn.WIDTHS


@pytest.mark.parametrize("seed", range(3))
def test_spotty_rings_are_no_change(seed):
    rng = np.random.default_rng(seed)
    states = follow(
        frame(rng, strain=-0.0004 * k, heights=tuple(np.exp(rng.normal(0, 0.12, len(LINES)))))
        for k in range(N_FRAMES)
    )
    assert first_alarm(states) == N_FRAMES


def test_crystallites_that_slowly_lose_size_and_texture_that_drifts_are_no_change():
    rng = np.random.default_rng(0)
    end = np.log([0.85, 1.2, 0.9, 1.15, 0.85, 1.2])
    states = follow(
        frame(
            rng,
            strain=-0.0004 * k,
            heights=tuple(np.exp(end * k / N_FRAMES)),
            splitting=0.001 * k / N_FRAMES,
        )
        for k in range(N_FRAMES)
    )
    assert first_alarm(states) == N_FRAMES


@pytest.mark.parametrize("seed", range(3))
def test_lines_that_come_out_from_behind_declared_ones_are_no_change(seed):
    """The strongest lines begin half hidden: they neither hold the strain back nor grow."""
    rng = np.random.default_rng(seed)
    declared = tuple(2 * np.pi / (centre / 1.0115) for _, centre in LINES[:4])
    settings = replace(SETTINGS, declared_d_spacings_angstrom=declared)
    strains = -0.0004 * np.arange(N_FRAMES)
    states = follow((frame(rng, strain=strain) for strain in strains), settings)
    assert {state.phase.stage for state in states} == {Stage.STABLE}
    found = np.array([state.phase.strain for state in states])
    assert np.abs(found - strains).max() < 6e-4
    assert max(state.evidence.known_lines.ratios for state in states[8:]) < 1.0
