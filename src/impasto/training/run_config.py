"""The options that an output folder of a training belongs to: `training.json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from impasto.core.errors import StateError
from impasto.core.paths import written_whole

FILE = "training.json"
OUTPUTS = ("checkpoint.pt", "network.safetensors", "encoder.safetensors", "log.jsonl", "losses.png", "samples")
LENGTHS = ("epochs", "steps")
"""Options of the length of a run, which may be raised on resume."""


def lock_run_config(folder: Path, metadata: dict[str, Any]) -> None:
    """Record the training in `folder`, created if missing. `metadata` is plain JSON with a table `options`.

    Raises `StateError` if the checkpoint there is of another training, or if the folder has files with the names of
    a training's outputs that no training has left.
    """
    path, metadata = folder / FILE, json.loads(json.dumps(metadata))
    if not path.is_file():
        foreign = [name for name in OUTPUTS if (folder / name).exists()]
        if foreign:
            raise StateError(f"{folder} has {', '.join(foreign)}, but no {FILE} of a training that it would belong to. "
                             "Move it, or give another output folder.")  # fmt: skip
    else:
        before = _known(path)
        if (folder / "checkpoint.pt").is_file():
            _compare(before, metadata, folder=folder)
            return
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(metadata, indent=1) + "\n", encoding="utf-8")


def _compare(before: dict[str, Any], now: dict[str, Any], *, folder: Path) -> None:
    old, new = ({**metadata["options"], **metadata} for metadata in (before, now))
    shared = [name for name in new if name in old and name not in ("options", *LENGTHS)]
    differing = [name for name in shared if old[name] != new[name]]
    if differing:
        raise StateError(f"{folder} was trained with another {', '.join(differing)}. "
                         "Give the same, or another output folder.")  # fmt: skip


def _known(path: Path) -> dict[str, Any]:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StateError(f"{path} cannot be read ({error}); give another output folder.") from error
    if not isinstance(known, dict) or not isinstance(known.get("options"), dict):
        raise StateError(f"{path} does not record a training; give another output folder.")
    return known
