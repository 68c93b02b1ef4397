"""A folder of patterns or images, as if it were one run: an event a frame, in order of names."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from uuid import NAMESPACE_URL, uuid5

import numpy as np
from event_model import compose_run

from phasepilot.agent.archive.document_codec import Document
from phasepilot.agent.archive.pattern_stacks import HDF5_SUFFIXES, stacked_frames
from phasepilot.agent.archive.run_query import FoundRun, RunQuery, chosen
from phasepilot.agent.configuration import AgentConfiguration
from phasepilot.agent.errors import AgentError, PatternFileError
from phasepilot.agent.pattern_files import read_pattern
from phasepilot.models.errors import ModelsError
from phasepilot.models.pattern import Pattern

TEXT_SUFFIXES = (".xy", ".xye", ".dat", ".chi", ".csv", ".txt")
IMAGE_SUFFIXES = (".tif", ".tiff", ".cbf", ".edf")
_SUFFIXES = (*TEXT_SUFFIXES, *IMAGE_SUFFIXES, *HDF5_SUFFIXES)
_INTENSITY, _Q = "intensity", "q_per_angstrom"


@dataclass(frozen=True, slots=True)
class PatternRuns:
    """The frames in a file or in the files of a folder.

    Attributes
    ----------
    path : Path
        Text (.xy, .chi, ...), images (.tif, .cbf, .edf) and HDF5 or NeXus; a folder may mix them.
    names : str
        Only files of a folder whose names fit this, such as ``"kcl_*.tif"``.
    axis : {"two_theta", "q"}
        What the first column of text is.
    wavelength_angstrom : float or None
        Wavelength of the beam, for angles whose file does not state it.
    poni : Path or None
        Geometry, for images.
    dataset : str or None
        Path of the frames within an HDF5 file; None takes the default that NeXus marks.
    """

    path: Path
    names: str = "*"
    axis: Literal["two_theta", "q"] = "two_theta"
    wavelength_angstrom: float | None = None
    poni: Path | None = None
    dataset: str | None = None

    def find(self, query: RunQuery) -> list[FoundRun]:
        """Return the one run that the files are; its uid changes when the files do."""
        uid = self._uid()
        (uid,) = chosen({uid: {"uid": uid}}, RunQuery(query.uids), str(self.path))
        n_files = len(self._files())
        has_stacks = any(file.suffix.lower() in HDF5_SUFFIXES for file in self._files())
        return [FoundRun(uid, None if has_stacks else n_files)]

    def documents(self, uid: str, note: Callable[[str], None]) -> Iterator[tuple[str, Document]]:
        """Yield the documents of that run; a file that cannot be read is noted and left out."""
        files = self._files()
        run = compose_run(
            uid=uid, time=files[0].stat().st_mtime, metadata={"files": str(self.path)}
        )
        yield "start", dict(run.start_doc)
        stream = run.compose_descriptor(name="primary", data_keys=_data_keys())
        yield "descriptor", dict(stream.descriptor_doc)
        number = 0
        for file in files:
            time = file.stat().st_mtime
            try:
                for row, pattern in enumerate(self._patterns(file)):
                    number += 1
                    data = _data(pattern, file.name, row)
                    event = stream.compose_event(
                        data=data,
                        timestamps=dict.fromkeys(data, time),
                        time=time,
                        seq_num=number,
                        validate=False,
                    )
                    yield "event", dict(event)
            except (AgentError, ModelsError) as error:
                note(str(error))
        yield "stop", dict(run.compose_stop())

    def _files(self) -> list[Path]:
        if self.path.is_file():
            return [self.path]
        if not self.path.is_dir():
            raise PatternFileError(
                f"{self.path} must be a file or a folder of patterns, but does not exist"
            )
        files = [file for file in self.path.glob(self.names) if file.suffix.lower() in _SUFFIXES]
        if not files:
            raise PatternFileError(
                f"{self.path} must hold patterns or images named {self.names!r} that end in one of"
                f" {', '.join(_SUFFIXES)}, but holds none"
            )
        return sorted(files, key=_by_number)

    def _uid(self) -> str:
        """Return a uid that is the same for the same files, read in the same way."""
        states = [(file.name, (s := file.stat()).st_size, s.st_mtime_ns) for file in self._files()]
        way = [str(self.path.resolve()), self.axis, self.wavelength_angstrom, self.dataset]
        way.append(None if self.poni is None else self.poni.read_text())
        return str(uuid5(NAMESPACE_URL, json.dumps([way, states])))

    def _patterns(self, file: Path) -> Iterator[Pattern]:
        suffix = file.suffix.lower()
        if suffix in HDF5_SUFFIXES:
            for frame in stacked_frames(file, self.dataset):
                if frame.q_per_angstrom is None and frame.two_theta_deg is None:
                    yield self._integrated(frame.counts, file)
                else:
                    yield frame.pattern(self.wavelength_angstrom)
        elif suffix in IMAGE_SUFFIXES:
            yield self._integrated(_image(file), file)
        else:
            yield read_pattern(file, axis=self.axis, wavelength_angstrom=self.wavelength_angstrom)

    def _integrated(self, image: Any, file: Path) -> Pattern:
        # pyFAI, which only images need.
        from phasepilot.models.diffraction.images.azimuthal_integration import integrate_pattern
        from phasepilot.models.diffraction.images.poni_file import read_geometry

        if self.poni is None or image.ndim != 2:
            raise PatternFileError(
                f"{file} holds frames of shape {image.shape} without an axis, which only a .poni"
                " file can turn into patterns if they are images; give it with --poni."
            )
        geometry = read_geometry(
            self.poni, image_shape=image.shape, wavelength_angstrom=self.wavelength_angstrom
        )
        return integrate_pattern(image, geometry)


def pattern_configuration(configuration: AgentConfiguration | None) -> AgentConfiguration:
    """Return how to judge a folder: the configuration given, with the names that fields have here.

    Without one, the agent watches with its own network and nothing else.
    """
    fields = {"intensity_field": _INTENSITY, "q_field": _Q, "stream": "primary", "frame": "pattern"}
    if configuration is None:
        return AgentConfiguration(**fields)
    # Everything else that names a key or the geometry of a beamline has nothing to name here.
    absent = [
        name
        for name in AgentConfiguration.model_fields
        if (name.endswith("_field") or name == "image") and name not in fields
    ]
    return configuration.model_copy(update={**dict.fromkeys(absent, None), **fields})


def _data_keys() -> dict[str, Any]:
    array = {"source": "file", "dtype": "array", "shape": [None], "dtype_numpy": "<f8"}
    return {
        _INTENSITY: array,
        _Q: {**array, "units": "1/angstrom"},
        "file": {"source": "file", "dtype": "string", "shape": []},
        "file_row": {"source": "file", "dtype": "integer", "shape": []},
    }


def _data(pattern: Pattern, name: str, row: int) -> dict[str, Any]:
    return {
        _INTENSITY: np.where(pattern.is_measured, pattern.intensity, np.nan),
        _Q: pattern.q_per_angstrom,
        "file": name,
        "file_row": row,
    }


def _image(file: Path) -> Any:
    import fabio

    try:
        return np.asarray(fabio.open(str(file)).data)
    except Exception as error:  # fabio raises whatever its many readers do
        raise PatternFileError(
            f"{file} must be an image that fabio reads, but there came {type(error).__name__}"
            f" ({str(error).splitlines()[0] if str(error) else 'no reason given'});"
            " was it copied completely?"
        ) from error


def _by_number(file: Path) -> list[Any]:
    """Return a key that puts frame_2 before frame_10."""
    parts = re.split(r"(\d+)", file.name)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]
