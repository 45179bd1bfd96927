"""Painting the tasks of a batch in one process."""

from __future__ import annotations

import dataclasses
import os
import secrets
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from impasto.config.job import Job
from impasto.jobs.stores import store_at
from impasto.jobs.tasks import PictureTask, Spec
from impasto.session.job_cache import JobCache
from impasto.session.opened import Session, open_session
from impasto.session.painting import Painting, sidecar_path
from impasto.session.plan import plan_job
from impasto.styles.catalogue import StyleCatalogue


@dataclass(frozen=True, eq=False)
class OpenedTask:
    """The session of a task; `copy` is the local copy of a fetched content."""

    session: Session
    copy: Path | None


class TaskPainter:
    """Opens, paints and writes the tasks of a `Spec`. `staging` is a folder for temporary files."""

    def __init__(self, spec: Spec, *, staging: Path, device: str | None = None) -> None:
        self._spec, self._staging = spec, staging
        self._jobs = {name: _on(mix.job, device) for name, mix in spec.mixes.items()}
        self._store, self._catalogue = store_at(spec.outputs), StyleCatalogue()
        self._cache = JobCache(content=len(spec.mixes) > 1, codes=True)

    def open(self, task: PictureTask) -> OpenedTask:
        """The session of a task; a content in a store or a shard is fetched."""
        copy = None if task.entry.local is not None else self._fetched(task)
        try:
            job = dataclasses.replace(self._jobs[task.mix], content=str(copy or task.entry.local))
            folder = self._store.local or Path.cwd()
            plan = plan_job(job, catalogue=self._catalogue)
            return OpenedTask(open_session(plan, output=folder / task.output, cache=self._cache), copy)
        except BaseException:
            if copy is not None:
                copy.unlink(missing_ok=True)
            raise

    def paint(self, task: PictureTask, opened: OpenedTask) -> Painting:
        """The finished picture; its recipe names the content as the manifest does."""
        session, copy = opened.session, opened.copy
        for step in session.steps():
            last = step
        painting = session.painting(last)
        recipe = painting.recipe
        if recipe is not None and copy is not None:
            recipe = recipe.with_content(task.entry.key)
            copy.unlink(missing_ok=True)
        return dataclasses.replace(painting, recipe=recipe, folder=None)  # its paths are already relative to the output

    def write(self, task: PictureTask, painting: Painting) -> None:
        """Write the picture, and its sidecar if there is one, to the outputs."""
        staged = self._staging / f"{secrets.token_hex(8)}{PurePosixPath(task.output).suffix}"
        try:
            painting.save(staged, self._spec.written)
            beside = sidecar_path(staged)
            if beside.is_file():
                self._store.take(beside, str(sidecar_path(Path(task.output))))
            self._store.take(staged, task.output)
        finally:
            staged.unlink(missing_ok=True)

    def _fetched(self, task: PictureTask) -> Path:
        path = self._staging / f"{secrets.token_hex(8)}{os.path.splitext(task.entry.key.partition('::')[0])[1]}"
        path.write_bytes(task.entry.read())
        return path


def _on(job: Job, device: str | None) -> Job:
    return job if device is None else dataclasses.replace(job, paint=dataclasses.replace(job.paint, device=device))
