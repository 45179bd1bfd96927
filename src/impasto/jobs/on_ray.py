"""A batch on a Ray cluster: Ray Data sends shards to actors, each with its own worker process.

What holds on one machine holds here: attempts, time limits and the death of a worker process are the actor's; an actor
or node that dies is replaced by Ray, and its shard goes on from its ledger.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pickle
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from impasto.config.batch import BatchOptions
from impasto.core.errors import BatchError, OptionError
from impasto.core.extras import optional
from impasto.jobs.batch import PlannedBatch, clear_staging, shards_of
from impasto.jobs.pool import Pool
from impasto.jobs.shards import Shard, painted_shards
from impasto.jobs.slots import WorkerSlot
from impasto.jobs.stores import store_at
from impasto.jobs.tasks import Outcome, Spec

LOCAL = "local"
FEWEST_SHARDS = 8  # for each actor, so that none waits long for the last one


class ShardPainter:
    """The work of an actor: it paints shards, resuming from their ledgers, in its own worker process."""

    def __init__(self, spec: Spec, slot: WorkerSlot, *, options: BatchOptions) -> None:
        self._undo, self._store = contextlib.ExitStack(), store_at(spec.outputs)
        self._staged = self._undo.enter_context(self._store.staging())
        spec = dataclasses.replace(spec, outputs=str(self._staged)) if options.tar else spec
        pool = Pool(spec, [slot], attempts=options.attempts, timeout_s=options.timeout)
        self._pool = self._undo.enter_context(contextlib.closing(pool))

    def outcomes(self, shard: Shard) -> Iterator[Outcome]:
        """The outcomes of a shard's tasks."""
        return painted_shards([shard], self._pool, store=self._store, staged=self._staged, again=True)

    def close(self) -> None:
        """End the process and remove its temporary files."""
        self._undo.close()


class _Actor:
    """The class that Ray Data starts on the cluster; shards and outcomes travel as bytes and text."""

    def __init__(self, spec: Spec, slot: WorkerSlot, *, options: BatchOptions) -> None:
        self._painter = ShardPainter(spec, slot, options=options)

    def __call__(self, row: Mapping[str, Any]) -> list[dict[str, Any]]:
        return [{"line": outcome.line()} for outcome in self._painter.outcomes(pickle.loads(row["shard"]))]

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self._painter.close()


def paint_on_ray(batch: PlannedBatch, *, workers: int, threads: int, gpus: bool, address: str) -> Iterator[Outcome]:
    """Paint what remains on the cluster at `address` with `workers` actors (0: as many as fit), as `batch.paint`.

    Each actor takes `threads` cores, and with `gpus` one GPU. `local` starts Ray on this machine for the block.
    Raises `MissingExtra`, `OptionError` if the cluster has no GPU, and `BatchError` if Ray fails.
    """
    ray: Any = optional("ray", "ray", purpose="painting on a cluster")
    ray_data: Any = optional("ray.data", "ray", purpose="painting on a cluster")
    with _connected(ray, address):
        count = workers or fitting(ray.cluster_resources(), threads=threads, gpus=gpus)
        shards = _small_enough(shards_of(batch), workers=count) if not batch.options.tar else shards_of(batch)
        _quiet(ray_data)
        rows = [{"shard": pickle.dumps(shard)} for shard in shards]
        outcomes = ray_data.from_items(rows, override_num_blocks=len(rows)).flat_map(
            _Actor,
            fn_constructor_args=(batch.spec, WorkerSlot(threads, "cuda" if gpus else None)),
            fn_constructor_kwargs={"options": batch.options},
            compute=ray_data.ActorPoolStrategy(min_size=1, max_size=max(1, min(count, len(rows)))),
            num_cpus=threads,
            **({"num_gpus": 1} if gpus else {}),
        )
        try:
            for row in outcomes.iter_rows():
                yield Outcome.of_line(row["line"])
        except ray.exceptions.RayError as error:
            reason = str(error).strip().splitlines()[-1]
            raise BatchError(f"the Ray cluster could not go on: {reason}") from error
        clear_staging(batch.store)


@contextlib.contextmanager
def _connected(ray: Any, address: str) -> Iterator[None]:
    try:
        ray.init(
            address=None if address == LOCAL else address,
            log_to_driver=False,
            logging_level="ERROR",
            **({"include_dashboard": False} if address == LOCAL else {}),
        )
    except Exception as error:  # among them bare ones of Ray's, where the machine is too busy to start it
        reason = " ".join(str(error).split())
        raise BatchError(
            f"Ray cannot be reached at {address} ({reason}). `ray=local` starts it on this machine."
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def fitting(resources: Mapping[str, float], *, threads: int, gpus: bool) -> int:
    """How many actors the cluster has room for."""
    if gpus and not resources.get("GPU"):
        raise OptionError("`devices` asks for GPUs, and the Ray cluster has none. Leave it out.")
    room = resources.get("GPU", 0) if gpus else resources.get("CPU", 1) // threads
    return max(1, int(room))


def _small_enough(shards: Sequence[Shard], *, workers: int) -> list[Shard]:
    """The shards, split if there are too few for the actors to finish together."""
    tasks = [task for shard in shards for task in shard.tasks]
    size = max(1, min(len(shards[0].tasks), len(tasks) // (FEWEST_SHARDS * workers))) if shards else 1
    run = shards[0].name.rpartition("-")[0] if shards else ""
    return [Shard(f"{run}-{n:06}", tuple(tasks[s : s + size])) for n, s in enumerate(range(0, len(tasks), size))]


def _quiet(ray_data: Any) -> None:
    """Ray's progress bars are off: the command has its own."""
    context = ray_data.DataContext.get_current()
    context.enable_progress_bars = False
    with contextlib.suppress(AttributeError):
        context.print_on_execution_start = False
