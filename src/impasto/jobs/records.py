"""What is known of each experiment, beside what it has trained."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impasto.core.errors import StateError
from impasto.core.options import annotated_fields
from impasto.core.paths import written_whole
from impasto.jobs.grid import Experiment
from impasto.training.checkpoints import FREE

FILE, NETWORK = "experiment.json", "network.safetensors"
NEW, STOPPED, FAILED, FINISHED = "not begun", "stopped", "failed", "finished"


@dataclass(frozen=True)
class Record:
    """Where an experiment stands.

    `skipped` counts steps that were not finite, `unreadable` pictures that others stood in for in the last go.
    `seconds` is the wall time of all its goes together, `step_seconds` that of `timed` steps in them, without what
    comes before the first of a go.
    """

    state: str = NEW
    error: str = ""
    step: int = 0
    steps: int = 0
    skipped: int = 0
    unreadable: int = 0
    seconds: float = 0.0
    step_seconds: float = 0.0
    timed: int = 0

    @property
    def per_step(self) -> float | None:
        """Seconds that a step takes; None where none was timed."""
        return self.step_seconds / self.timed if self.timed else None


def known(experiment: Experiment, folder: Path) -> Record:
    """What stands in the folder of an experiment; `StateError` where that is of other options.

    One that is finished but has no network file any more is taken for stopped.
    """
    path = folder / FILE
    if not path.is_file():
        return Record()
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        before, record = dict(data["options"]), Record(**data["record"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StateError(f"{path} cannot be read ({error}); delete it, or give another output folder.") from error
    now = json.loads(json.dumps(_told(experiment)))
    if differing := [name for name, value in now.items() if name in before and before[name] != value]:
        raise StateError(
            f"{folder} was trained with another {', '.join(differing)}. Give the run another name, or give another "
            "output folder."
        )
    if record.state == FINISHED and not (folder / NETWORK).is_file():
        return dataclasses.replace(record, state=STOPPED)
    return record


def keep(record: Record, experiment: Experiment, folder: Path) -> None:
    """Write what is known of an experiment into its folder."""
    told = {"name": experiment.name, "options": _told(experiment), "record": dataclasses.asdict(record)}
    with written_whole(folder / FILE) as temporary:
        temporary.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def _told(experiment: Experiment) -> Mapping[str, Any]:
    """The options that decide what is trained; of paths the last part, since folders move."""
    both = (experiment.options, experiment.fitting)
    fields = [(options, field.name) for options in both for field, _ in annotated_fields(type(options))]
    return {name: _named(getattr(options, name)) for options, name in fields if name not in (*FREE, "memory_gb")}


def _named(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_named(item) for item in value]
    return value.absolute().name if isinstance(value, Path) else value
