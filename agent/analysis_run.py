"""What the agent says, as a run of its own that points to the raw one."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from event_model import compose_run

from phasepilot.models.suggestion import Advice, advice_data_keys

DocumentSink = Callable[[str, Mapping[str, Any]], Any]

SOURCE = "phasepilot"


class AnalysisRun:
    """Composes one run of advice; `start`, `add` and `stop` hand its documents to a sink.

    The start document carries `analysis_of`, the uid of the raw run.
    """

    def __init__(
        self, raw_run_uid: str, settings: Mapping[str, str | float | int], sink: DocumentSink
    ) -> None:
        self._sink = sink
        self._settings = dict(settings)
        self._run = compose_run(
            metadata={
                "plan_name": "phasepilot",
                "purpose": "phase analysis",
                "analysis_of": raw_run_uid,
            }
        )
        self._stream: Any = None

    def start(self) -> None:
        """Hand out the start document and the descriptor."""
        self._sink("start", self._run.start_doc)
        keys = advice_data_keys(SOURCE)
        configuration = {
            SOURCE: {
                "data": self._settings,
                "timestamps": dict.fromkeys(self._settings, self._run.start_doc["time"]),
                "data_keys": settings_data_keys(self._settings),
            }
        }
        self._stream = self._run.compose_descriptor(
            name="primary",
            data_keys=keys,
            object_keys={SOURCE: list(keys)},
            configuration=configuration,
            hints={SOURCE: {"fields": ["strain", "change_probability"]}},
        )
        self._sink("descriptor", self._stream.descriptor_doc)

    def add(self, advice: Advice, time: float) -> None:
        """Hand out one event, stamped with the time of the frame."""
        values = advice.values()
        self._sink(
            "event",
            self._stream.compose_event(
                # Ours, and valid by a test; to prove it each time takes half a millisecond.
                data=values,
                timestamps=dict.fromkeys(values, time),
                time=time,
                validate=False,
            ),
        )

    def stop(self, exit_status: Literal["success", "abort", "fail"], reason: str) -> None:
        """Hand out the stop document."""
        self._sink("stop", self._run.compose_stop(exit_status=exit_status, reason=reason))


def settings_data_keys(settings: Mapping[str, str | float | int]) -> dict[str, dict[str, Any]]:
    """Return event-model data keys of an agent's settings."""
    return {
        name: {
            "source": SOURCE,
            "dtype": "string" if isinstance(value, str) else "number",
            "shape": [],
        }
        for name, value in settings.items()
    }
