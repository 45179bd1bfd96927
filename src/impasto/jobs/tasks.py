"""The tasks of a batch, their styles, and their outcomes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field
from typing import Any

from impasto.config.job import Job
from impasto.config.pictures import OutputOptions
from impasto.core.paths import first_free
from impasto.jobs.manifest import ManifestEntry

DONE, FAILED = "done", "failed"


@dataclass(frozen=True)
class PictureTask:
    """A picture in a mix of styles (by its name in `Spec.mixes`), and the name of its output."""

    number: int
    entry: ManifestEntry
    mix: str
    output: str


@dataclass(frozen=True)
class MixOfStyles:
    """The job of all pictures in one mix, without a content, and the recipe of everything that decides their look."""

    job: Job
    recipe: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """The start of the recipe's sha256, in hex digits."""
        return hashlib.sha256(json.dumps(self.recipe, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Spec:
    """What a worker needs besides its tasks. `outputs` is the folder or URL of the outputs."""

    mixes: Mapping[str, MixOfStyles]
    outputs: str
    written: OutputOptions


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The outcome of a task; a line of the ledger.

    `seconds` are those of reading, painting and writing; `shard` is the tar file with the output.
    """

    key: str
    mix: str
    digest: str
    output: str
    state: str = DONE
    error: str = ""
    attempts: int = 1
    seconds: Mapping[str, float] = field(default_factory=dict)
    shard: str = ""

    @property
    def identity(self) -> tuple[str, str]:
        """Input and recipe: a task with the same identity is not repeated."""
        return self.key, self.digest

    def line(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self), ensure_ascii=True)

    @classmethod
    def of_line(cls, text: str) -> Outcome:
        """The outcome in a line; raises `ValueError` or `TypeError` for other text."""
        return cls(**json.loads(text))


def tasks_of(
    entries: Sequence[ManifestEntry],
    mixes: Mapping[str, MixOfStyles],
    *,
    suffix: str,
    pairs: str,
    known: Set[tuple[str, str]],
    taken: Set[str],
) -> list[PictureTask]:
    """The remaining tasks: every entry in every mix, or pair by pair, without those `known` by identity.

    Outputs are `stem-mix.png`, numbered if the name is `taken` (in lower case, since some file systems ignore case).
    """
    names = list(mixes)
    rows = (
        zip(entries, names, strict=True) if pairs == "zip" else ((entry, name) for entry in entries for name in names)
    )
    used, tasks = set(taken), list[PictureTask]()
    for entry, name in rows:
        if (entry.key, mixes[name].digest) in known:
            continue
        output = first_free(f"{entry.stem}-{name}", suffix, taken=lambda path: path.lower() in used)
        used.add(output.lower())
        tasks.append(PictureTask(len(tasks), entry, name, output))
    return tasks
