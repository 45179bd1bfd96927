"""`impasto batch`: repaint folders of any number of pictures, on all cores, devices or a cluster."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from impasto.cli.bars import Bar, as_time
from impasto.cli.flags import takes_options, with_flags
from impasto.cli.mixes import MixFlags, style_mixes
from impasto.cli.stopping import INTERRUPTED, on_interrupt
from impasto.cli.stylize import PICTURES, PRESET, from_config, from_preset
from impasto.config.batch import BatchOptions, FolderOptions
from impasto.config.console import ConsoleOptions
from impasto.config.job import Job, LookOptions, StyleSource
from impasto.config.pictures import OutputOptions
from impasto.core.paths import first_free

if TYPE_CHECKING:
    from impasto.jobs.batch import PlannedBatch
    from impasto.jobs.slots import WorkerSlot
    from impasto.jobs.tasks import Outcome

app = App(name="batch", config=(from_preset, from_config))


@Parameter(name="*", group=PICTURES, negative=())
@dataclass(frozen=True, kw_only=True)
class BatchPictureFlags:
    """The outputs, and files of options."""

    output: Annotated[str, Parameter(alias="-o", help="Folder or URL for the outputs and the report.")]
    preset: Annotated[str | None, PRESET] = None
    config: Annotated[
        Path | None, Parameter(help="Take options from a TOML file or recipe, as for impasto stylize.")
    ] = None


@app.default
@takes_options
def batch(
    inputs: Annotated[
        tuple[str, ...],
        Parameter(
            help="Folders and pictures; text files with a path a line and Parquet tables (.txt, .parquet); WebDataset "
            "shards (.tar); patterns (*.jpg). Each may be a URL: s3://bucket/folder.",
            group=PICTURES,
        ),
    ],
    /,
    *,
    mix: MixFlags,
    pictures: BatchPictureFlags,
    folder: FolderOptions,
    options: BatchOptions,
    look: LookOptions,
    written: OutputOptions,
    console: ConsoleOptions,
) -> int:
    """Repaint any number of pictures, each exactly once.

    Run the same command again to resume: a ledger in the output folder records finished pictures. A picture that fails
    is recorded with its error, the others continue, and the exit code is 1. The report, batch.html in the output
    folder, has counts, times, failures and samples.
    """
    from impasto.jobs.batch import planned

    jobs = _jobs(mix, output=Path(pictures.output), folder=folder, look=look)
    places, to = _places(options, console, device=look.paint.device), pictures.output
    with Bar(quiet=console.quiet) as bar:
        bar.wait("looking for pictures")
        with planned(inputs, jobs, outputs=to, folder=folder, written=written, options=options) as work:
            return _painted(work, places[: max(1, len(work.tasks))], console=console, bar=bar)


def _places(options: BatchOptions, console: ConsoleOptions, *, device: str) -> list[WorkerSlot]:
    """The places of the workers; on Ray, the resources of each actor."""
    import torch

    from impasto.jobs import slots
    from impasto.session.device import painting_device

    if options.ray is not None:
        return [slots.WorkerSlot(console.threads or 1, "cuda" if options.devices else None)]
    on_gpu = not options.devices and painting_device(device).type != "cpu"
    return slots.slots(
        options.workers or int(on_gpu),
        options.devices,
        cores=console.threads or slots.cores(),
        gpus=torch.cuda.device_count() if options.devices else 0,
        visible=os.environ.get(slots.VISIBLE),
    )


def _jobs(mix: MixFlags, *, output: Path, folder: FolderOptions, look: LookOptions) -> dict[str, Job]:
    """The job of each mix, by its name in the outputs."""
    from impasto.styles.catalogue import StyleCatalogue

    catalogue, jobs = StyleCatalogue(), dict[str, Job]()
    mixes = style_mixes(mix.style, pairs=folder.pairs, output=output, styles_of=catalogue.styles_in)
    for styles in mixes:
        sources = mix.sources(styles)
        name = "+".join(catalogue.resolve(StyleSource(source=source.source)).stem for source in sources)
        jobs[first_free(name, taken=jobs.__contains__)] = Job(content="", styles=sources, **vars(look))
    return jobs


def _painted(work: PlannedBatch, places: list[WorkerSlot], *, console: ConsoleOptions, bar: Bar) -> int:
    """Paint the remaining pictures with a bar and write the report; the exit code."""
    from impasto.jobs.batch import counts
    from impasto.jobs.page import PAGE, write_batch_report

    if work.known:
        bar.note(f"{len(work.known)} of {work.total} pictures are finished: {_counted(work.known)}")
    outcomes: list[Outcome] = []
    progress, stopped = _Progress(bar, work.total, done=len(work.known)), False
    workers = len(places) if work.options.ray is None else work.options.workers
    bar.wait("starting Ray" if work.options.ray is not None else f"starting {workers} worker processes")
    with contextlib.closing(_outcomes(work, places)) as source, on_interrupt(bar.note) as stop:
        stop.worth_keeping = True
        for outcome in source:
            outcomes.append(outcome)
            progress.show(outcome)
            if stop.asked:
                stopped = len(outcomes) < len(work.tasks)
                break
    bar.wait("writing the report")
    data = write_batch_report(work, outcomes, seconds=progress.seconds, workers=workers)
    page = f"{work.spec.outputs}/{PAGE}"
    data = {name: data[name] for name in ("pictures", "done", "failed", "left", "this_run")}
    print(json.dumps({"report": page, **data}) if console.json else page, flush=True)
    bar.note(f"{data['done']} of {data['pictures']} pictures are painted, {data['failed']} failed")
    if stopped:
        bar.note("stopped; the same command resumes.")
        return INTERRUPTED
    return 1 if counts([*work.known, *outcomes])["failed"] else 0


def _outcomes(work: PlannedBatch, places: list[WorkerSlot]) -> Generator[Outcome, None, None]:
    from impasto.jobs.batch import paint

    if not work.tasks:
        return
    if work.options.ray is None:
        yield from paint(work, places)
        return
    from impasto.jobs.on_ray import paint_on_ray

    (place,) = places
    yield from paint_on_ray(
        work,
        workers=work.options.workers,
        threads=place.threads,
        gpus=place.device is not None,
        address=work.options.ray,
    )


@dataclass
class _Progress:
    """Counts outcomes and draws the bar."""

    bar: Bar
    total: int
    done: int
    painted: int = 0
    failed: int = 0
    began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    def show(self, last: Outcome) -> None:
        """`3 of 120  2.1 pictures/s  0:55 left  1 failed`; each failure is also printed on its own line."""
        self.done, self.painted, self.failed = self.done + 1, self.painted + 1, self.failed + bool(last.error)
        if last.error:
            error = with_flags(last.error)
            self.bar.tell_error(error if last.key in error else f"{last.key}: {error}")
        rate = self.painted / self.seconds
        left = as_time((self.total - self.done) / rate)
        parts = [f"{self.done} of {self.total}", f"{rate:.3g} pictures/s", f"{left} left"]
        parts += [f"{self.failed} failed"] if self.failed else []
        self.bar.show(self.done, self.total, "  ".join(parts))


def _counted(outcomes: Sequence[Outcome]) -> str:
    """`7 painted, 1 failed`."""
    failed = sum(bool(each.error) for each in outcomes)
    painted = sum(not each.error for each in outcomes)
    return f"{painted} painted" + (f", {failed} failed (--retry repeats them)" if failed else "")
