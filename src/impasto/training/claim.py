"""What a folder of a training run is of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from impasto.core.errors import StateError
from impasto.core.paths import written_whole


def claim(folder: Path, told: dict[str, Any]) -> None:
    """Note what is trained in `folder`; `StateError` where the checkpoint there is of something else."""
    path, told = folder / "training.json", json.loads(json.dumps(told))
    if path.is_file() and (folder / "checkpoint.pt").is_file():
        known = json.loads(path.read_text(encoding="utf-8"))
        before, now = ({**values["options"], **values} for values in (known, told))
        differing = [name for name in now if name != "options" and before.get(name) != now[name]]
        if differing:
            names = ", ".join(differing)
            raise StateError(f"{folder} was trained with another {names}. Give the same, or another output folder.")
        return
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
