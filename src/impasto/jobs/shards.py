"""Shards of a batch: tasks that share a ledger file and, with `tar`, a tar file of outputs."""

from __future__ import annotations

import dataclasses
import io
import tarfile
from collections import Counter
from collections.abc import Collection, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from impasto.jobs.ledger import ShardLedger
from impasto.jobs.pool import Pool
from impasto.jobs.stores import Store
from impasto.jobs.tasks import DONE, Outcome, PictureTask


@dataclass(frozen=True)
class Shard:
    """Tasks with the name of their file in the ledger; `tar` is the file of outputs, empty for single files."""

    name: str
    tasks: tuple[PictureTask, ...]
    tar: str = ""


def sharded(tasks: Sequence[PictureTask], *, run: str, size: int, taken: Collection[str] | None = None) -> list[Shard]:
    """Shards of `size` tasks; `run` makes their names unique. With `taken`, each has a tar file with a new name."""
    starts = range(0, len(tasks), size)
    every = (f"shard-{number:06}.tar" for number in range(len(starts) + len(taken or ())))
    tars = [name for name in every if name not in (taken or ())]
    return [
        Shard(f"{run}-{number:06}", tuple(tasks[start : start + size]), "" if taken is None else tars[number])
        for number, start in enumerate(starts)
    ]


def painted_shards(
    shards: Sequence[Shard], pool: Pool, *, store: Store, staged: Path, again: bool = False
) -> Generator[Outcome, None, None]:
    """Paint the shards and write their ledgers; yields every outcome, those of a tar file once it is written.

    `again`: the shards may have been started before, and what their ledgers contain is not repeated. Pictures for tar
    files are those that the pool writes into `staged`.
    """
    books, waiting = dict[str, ShardLedger](), dict[str, list[Outcome]]()
    of = {(task.entry.key, task.mix): shard for shard in shards for task in shard.tasks}
    if again:
        for shard in shards:
            books[shard.name] = ShardLedger(store, shard.name, again=True)
            yield from (known := books[shard.name].outcomes)
            for outcome in known:
                of.pop((outcome.key, outcome.mix), None)
    left = Counter(shard.name for shard in of.values())
    tasks = (t for shard in shards for t in shard.tasks if (t.entry.key, t.mix) in of)
    try:
        with closing(pool.run(tasks)) as outcomes:
            for outcome in outcomes:
                shard = of[outcome.key, outcome.mix]
                left[shard.name] -= 1
                ready, last = [outcome], not left[shard.name]
                if shard.tar:
                    waiting.setdefault(shard.name, []).append(outcome)
                    ready = _packed(shard, waiting.pop(shard.name), store=store, staged=staged) if last else []
                if ready:
                    books.setdefault(shard.name, ShardLedger(store, shard.name)).add(ready, last=last)
                if last:
                    del books[shard.name]
                yield from ready
    finally:
        for book in books.values():
            book.write()


def _packed(shard: Shard, outcomes: Sequence[Outcome], *, store: Store, staged: Path) -> list[Outcome]:
    """Write the tar file of the shard's finished outputs, in the order of its tasks."""
    done = {outcome.output for outcome in outcomes if outcome.state == DONE}
    members = [task.output for task in shard.tasks if task.output in done]
    if not members:
        return list(outcomes)
    packed = staged / f"{shard.name}.packed"
    with tarfile.open(packed, "w", format=tarfile.GNU_FORMAT) as tar:
        for output in members:
            for path in (staged / output, staged / f"{output}.json"):
                if path.is_file():
                    _add(tar, member_name(output, path.suffix), data=path.read_bytes())
    store.take(packed, shard.tar)
    for output in members:
        (staged / output).unlink()
        (staged / f"{output}.json").unlink(missing_ok=True)
    return [dataclasses.replace(o, shard=shard.tar if o.state == DONE else "") for o in outcomes]


def member_name(output: str, suffix: str) -> str:
    """The name of an output, or of its recipe, in a tar file; WebDataset's key is the part before the first dot."""
    path = PurePosixPath(output)
    return str(path.with_name(path.stem.replace(".", "_") + suffix))


def _add(tar: tarfile.TarFile, name: str, *, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))
