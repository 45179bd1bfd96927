"""A batch: planned against its ledger, painted by worker processes or on a Ray cluster, and reported."""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
import shutil
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from impasto.config.batch import BatchOptions, FolderOptions
from impasto.config.job import Job
from impasto.config.pictures import OutputOptions
from impasto.core.errors import BatchError, OptionError
from impasto.core.paths import sha256_of
from impasto.image.files import Picture
from impasto.image.formats import check_writable
from impasto.jobs.ledger import locked, named_mixes, read_ledger
from impasto.jobs.manifest import ManifestEntry, manifest
from impasto.jobs.pool import Pool
from impasto.jobs.shards import Shard, painted_shards, sharded
from impasto.jobs.slots import WorkerSlot
from impasto.jobs.stores import STATE, Store, store_at
from impasto.jobs.tasks import DONE, FAILED, MixOfStyles, Outcome, PictureTask, Spec, tasks_of
from impasto.methods.table import own_groups
from impasto.session.job_cache import JobCache
from impasto.session.plan import plan_job
from impasto.session.recipe import WRITTEN, with_absolute_files
from impasto.styles.catalogue import StyleCatalogue

SHARD = 100
"""Tasks that share a file of the ledger."""


@dataclass(frozen=True, eq=False)
class PlannedBatch:
    """The work of a batch: `tasks` are the remaining ones, `known` the outcomes of earlier runs."""

    spec: Spec
    options: BatchOptions
    tasks: Sequence[PictureTask]
    known: Sequence[Outcome]
    entries: Sequence[ManifestEntry]

    @property
    def store(self) -> Store:
        """The folder of outputs."""
        return store_at(self.spec.outputs)

    @property
    def total(self) -> int:
        """The number of pictures in the batch, those of earlier runs included."""
        return len(self.tasks) + len(self.known)


@contextlib.contextmanager
def planned(
    inputs: Sequence[str],
    jobs: Mapping[str, Job],
    *,
    outputs: str,
    folder: FolderOptions,
    written: OutputOptions,
    options: BatchOptions,
) -> Iterator[PlannedBatch]:
    """The batch that paints `inputs` by `jobs`, which have no content, into `outputs`, which stays locked in the block.

    Raises every error that would stop the batch: wrong options, missing weights, styles or inputs, and outputs that
    were painted with other options.
    """
    _check(outputs, folder=folder, written=written)
    store, entries = store_at(outputs), manifest(inputs, outputs=outputs)
    if folder.pairs == "zip" and len(entries) != len(jobs):
        raise OptionError(f"`pairs=zip` needs as many styles as contents; there are {len(jobs)} and {len(entries)}.")
    suffix = f".{folder.format or 'png'}"
    mixes = {name: _mix(job, suffix=suffix, written=written) for name, job in jobs.items()}
    with locked(store):
        mixes = named_mixes(store, mixes, beside=options.beside)
        before = read_ledger(store)
        kept = [each for each in before if each.state == DONE or not options.retry]
        wanted = {(entry.key, mix.digest) for entry in entries for mix in mixes.values()}
        tasks = tasks_of(
            entries,
            mixes,
            suffix=suffix,
            pairs=folder.pairs or "all",
            known={each.identity for each in kept},
            taken={each.output.lower() for each in before if each.state == DONE},
        )
        spec = Spec(mixes, store.text, written)
        yield PlannedBatch(spec, options, tasks, [each for each in kept if each.identity in wanted], entries)


def paint(batch: PlannedBatch, slots: Sequence[WorkerSlot]) -> Generator[Outcome, None, None]:
    """Paint the remaining tasks with a worker process in each of `slots`; yields the outcome of each.

    Close the iterator to stop: finished pictures are kept, and the next run of the same batch continues.
    """
    store = batch.store
    clear_staging(store)
    with store.staging() as staged:
        pool = Pool(spec_for(batch, staged), slots, attempts=batch.options.attempts, timeout_s=batch.options.timeout)
        outcomes = painted_shards(shards_of(batch), pool, store=store, staged=staged)
        with contextlib.closing(pool), contextlib.closing(outcomes):
            yield from outcomes
    clear_staging(store)


def spec_for(batch: PlannedBatch, staged: Path) -> Spec:
    """The spec of the workers, whose outputs go into `staged` if they are packed into tar shards."""
    return dataclasses.replace(batch.spec, outputs=str(staged)) if batch.options.tar else batch.spec


def shards_of(batch: PlannedBatch) -> list[Shard]:
    """The remaining tasks, by shard."""
    run = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{secrets.token_hex(2)}"
    if not batch.options.tar:
        return sharded(batch.tasks, run=run, size=SHARD)
    return sharded(batch.tasks, run=run, size=batch.options.tar, taken=batch.store.names(""))


def clear_staging(store: Store) -> None:
    """Remove temporary files of killed processes."""
    if store.local is not None:
        shutil.rmtree(store.local / STATE / "staging", ignore_errors=True)


def counts(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """The numbers of finished and failed tasks."""
    states = [outcome.state for outcome in outcomes]
    return {state: states.count(state) for state in (DONE, FAILED)}


def _mix(job: Job, *, suffix: str, written: OutputOptions) -> MixOfStyles:
    """The job with its method resolved, and everything that decides its pictures: of files the digest, not the path."""
    catalogue, no_content = StyleCatalogue(), Picture(torch.zeros(1, 3, 1, 1))
    plan = plan_job(job, catalogue=catalogue, content=no_content)
    loaded = JobCache().loaded(plan)  # here, so that missing weights are reported, or downloaded, before the work
    absolute = with_absolute_files(plan)
    digests = {name: sha256_of(Path(name)) for name in plan_job(absolute, content=no_content).files}
    recipe: dict[str, Any] = {
        "job": _with_digests(own_groups(absolute.to_dict(), absolute.paint.method), digests),
        "weights": sorted(loaded.weights.values()),
        "written": {"suffix": suffix, **{name: getattr(written, name) for name in WRITTEN}},
    }
    del recipe["job"]["paint"]["device"]
    return MixOfStyles(absolute, recipe)


def _with_digests(value: Any, digests: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _with_digests(each, digests) for key, each in value.items()}
    if isinstance(value, list):
        return [_with_digests(each, digests) for each in value]
    return digests.get(value, value) if isinstance(value, str) else value


def _check(outputs: str, *, folder: FolderOptions, written: OutputOptions) -> None:
    folder_of_outputs = store_at(outputs).local
    if folder_of_outputs is not None:
        if folder_of_outputs.is_file():
            raise BatchError(f"{outputs} is a file; a folder for the outputs is needed.")
        check_writable(folder_of_outputs / f"x.{folder.format or 'png'}", written.bits)
    if written.snapshots or written.animation is not None:
        raise OptionError("`snapshots` and `animation` are for single pictures. Leave them out, or use stylize.")
