"""State shared by the studio's handlers: uploads, styles, the job queue, and the worker processes."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from pathlib import Path

from impasto.config.studio import StudioOptions
from impasto.core.errors import OptionError
from impasto.image.formats import READABLE_SUFFIXES
from impasto.styles.text import CODE_SUFFIX
from impasto.web.jobs import JobQueue, QueueLimits, StudioJob
from impasto.web.processes import WorkerProcess
from impasto.web.store import FILMS, PICTURES, STYLES, FileStore

STOP_S = 8.0
"""Time that the running job has to save its work when the server stops."""


@dataclass
class Studio:
    """The state of a server. `sources` maps the names of its styles to their texts.

    `inspector` decodes uploads, `painter` paints pictures, `trainer` paints films and trains styles; it starts on
    demand.
    """

    options: StudioOptions
    folder: Path
    sources: dict[str, str]
    inspector: WorkerProcess
    painter: WorkerProcess
    trainer: WorkerProcess
    pictures: FileStore
    films: FileStore
    saved: FileStore
    jobs: JobQueue
    thumbnails: dict[str, bytes] = field(default_factory=dict)

    @classmethod
    def of(cls, options: StudioOptions, folder: Path, *, names: tuple[str, ...]) -> Studio:
        """A studio with its files in `folder` (finished pictures in `options.keep`) and the trained styles `names`."""
        memory_bytes = int(options.memory_gb * 1e9)
        painter, trainer = (WorkerProcess(memory_bytes=memory_bytes, threads=options.threads) for _ in range(2))
        limits = QueueLimits(
            longest=options.queue,
            of_client=options.client_jobs,
            timeout_s=options.timeout_s,
            long_timeout_s=options.long_timeout_s,
            keeps_files=options.keep is not None,
        )
        studio = cls(
            options=options,
            folder=folder,
            sources={name: name for name in names} | saved_styles(options.styles),
            inspector=WorkerProcess(memory_bytes=memory_bytes, threads=1),
            painter=painter,
            trainer=trainer,
            pictures=FileStore(folder / "pictures", formats=PICTURES, longest_bytes=int(options.upload_mb * 1e6)),
            saved=FileStore(folder / "saved", formats=STYLES, longest_bytes=int(options.upload_mb * 1e6)),
            films=FileStore(
                folder / "films", formats=FILMS, longest_bytes=int(options.film_mb * 1e6), most=20, most_arriving=4
            ),
            jobs=JobQueue((painter, trainer), options.keep or folder / "results", limits=limits),
        )
        studio.jobs.on_done = studio.offer
        return studio

    @property
    def most_pixels(self) -> int:
        """Largest number of pixels of an upload, and of what is painted."""
        return int(self.options.megapixels * 1e6)

    def offer(self, job: StudioJob) -> None:
        """Add a newly trained style."""
        self.sources[job.task["name"]] = job.task["name"]

    async def warm_up(self) -> None:
        """Start the processes for pictures before the first one arrives."""
        style = next(iter(self.sources.values()), "")
        task = {"kind": "ready", "folder": str(self.folder)}
        starts = ((self.inspector, ""), (self.painter, style))
        await asyncio.gather(*(worker.run({**task, "style": text}, timeout_s=120) for worker, text in starts))

    async def close(self) -> None:
        """Let running jobs save their work, and end the processes."""
        with contextlib.suppress(asyncio.CancelledError):
            await self.jobs.stop(STOP_S)
        for worker in (self.inspector, self.painter, self.trainer):
            worker.end()


def saved_styles(folder: Path | None) -> dict[str, str]:
    """The pictures and saved styles in a folder by name. Raises `OptionError` if the folder does not exist."""
    if folder is None:
        return {}
    if not folder.is_dir():
        raise OptionError(f"`styles` is {folder}, which is not a folder. Name one with pictures or saved styles.")
    known = {*READABLE_SUFFIXES, CODE_SUFFIX}
    return {path.stem: str(path.resolve()) for path in sorted(folder.iterdir()) if path.suffix.lower() in known}
