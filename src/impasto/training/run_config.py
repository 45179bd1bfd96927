"""What a folder of a training run is of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from impasto.core.errors import StateError
from impasto.core.paths import written_whole


def lock_run_config(folder: Path, told: dict[str, Any]) -> None:
    """Note what is trained in `folder`; `StateError` where the checkpoint there is of something else.

    `told` is plain JSON with the table `options`.
    """
    path, told = folder / "training.json", json.loads(json.dumps(told))
    if path.is_file() and (folder / "checkpoint.pt").is_file():
        before, now = _flat(_known(path)), _flat(told)
        differing = [name for name in now if name != "options" and before.get(name) != now[name]]
        if differing:
            names = ", ".join(differing)
            raise StateError(f"{folder} was trained with another {names}. Give the same, or another output folder.")
        return
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def _known(path: Path) -> dict[str, Any]:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StateError(f"{path} cannot be read ({error}); give another output folder.") from error
    if not isinstance(known, dict) or not isinstance(known.get("options"), dict):
        raise StateError(f"{path} does not say what was trained there; give another output folder.")
    return known


def _flat(told: dict[str, Any]) -> dict[str, Any]:
    return {**told["options"], **told}
