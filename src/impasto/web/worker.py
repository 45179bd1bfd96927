"""The worker process, which decodes and paints. Uploads are never decoded in the server process."""

from __future__ import annotations

import contextlib
import re
import time
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from impasto.core.errors import ImpastoError
from impasto.web import films, learning, sheets
from impasto.web.pictures import PREVIEW_PX, as_jpeg, check_header

PREVIEW_EVERY_S = 0.25
MOST_LETTERS = 60  # of the name of a saved style

Message = dict[str, Any]


def run_tasks(connection: Connection, memory_bytes: int, *, threads: int | None) -> None:
    """Run tasks until the connection closes. The last message of each is of kind `done` or `failed`."""
    _limit_memory(memory_bytes)
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    tasks = Tasks(TaskChannel(connection))
    connection.send({"kind": "ready"})
    while True:
        try:
            task = connection.recv()
        except (EOFError, OSError):
            return
        if task["kind"] != "stop":  # a stop request that arrived after the end of its task
            connection.send(tasks.answer(task))


class TaskChannel:
    """The connection of a running task to the server: progress goes out, stop requests come in."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._sent, self.number = connection, 0.0, 0

    def tell(self, step: int, steps: int, *, preview: Callable[[], bytes] | None = None) -> bool:
        """Report a step, at most every `PREVIEW_EVERY_S`; whether it was sent. `preview` is called only then."""
        if time.monotonic() - self._sent < PREVIEW_EVERY_S:
            return False
        made = {} if preview is None else {"preview": preview()}
        self._connection.send({"kind": "step", "step": step, "steps": steps, **made})
        self._sent = time.monotonic()
        return True

    def is_stopped(self) -> bool:
        """Whether the server requested a stop of the running task; requests for earlier tasks are dropped."""
        while self._connection.poll():
            if self._connection.recv().get("number") == self.number:
                return True
        return False


class Tasks:
    """The kinds of tasks by name. Networks and encoded styles are cached between tasks."""

    def __init__(self, channel: TaskChannel) -> None:
        from impasto.api import JobCache

        self._channel, self._cache = channel, JobCache(codes=True)
        self._kinds: Mapping[str, Callable[..., Message]] = {
            "ready": self.ready,
            "inspect": self.inspect,
            "inspect_style": self.inspect_style,
            "paint": self.paint,
            "thumbnail": self.thumbnail,
            "recipe": self.recipe,
            "inspect_film": films.inspect_film,
            "film": partial(films.film, channel=channel),
            "learn": partial(learning.learn, channel=channel),
            "sheet": partial(sheets.paint_sheet, channel=channel),
        }

    def answer(self, task: Message) -> Message:
        """Run a task and return its last message."""
        try:
            kind, self._channel.number = task.pop("kind"), task.pop("number")
            return {"kind": "done", **self._kinds[kind](**task)}
        except ImpastoError as error:
            return {"kind": "failed", "error": without_paths(str(error))}
        except MemoryError:
            return {
                "kind": "failed",
                "error": "the painting does not fit into the studio's memory. Use a smaller size.",
            }
        except Exception as error:  # a defect must not end the process, or show a path to the client
            traceback.print_exc()
            return {"kind": "failed", "error": f"the painting failed ({type(error).__name__})."}

    def ready(self, style: str, folder: str) -> Message:
        """Paint a thumbnail, so that all imports are done before the first picture."""
        return self.thumbnail(style, px=64, folder=folder) if style else {}

    def inspect(self, path: str, *, most_pixels: int, preview_px: int) -> Message:
        """Size and a JPEG preview of a picture file, and whether it has a recipe.

        Raises `ImageError` if the header declares more than `most_pixels`.
        """
        from impasto.api import read, recipe_of

        check_header(Path(path), most_pixels)
        pixels, painted = read(path).pixels, False
        with contextlib.suppress(ImpastoError):
            painted = bool(recipe_of(path))
        size = [pixels.shape[-1], pixels.shape[-2]]
        return {"size": size, "preview": as_jpeg(pixels, preview_px), "painted": painted}

    def inspect_style(self, path: str) -> Message:
        """The name in a file of a saved style; raises for other files."""
        from impasto.styles.code_file import read_code

        return {"name": read_code(Path(path)).card.name[:MOST_LETTERS]}

    def paint(self, job: Message, output: str, *, keep: bool) -> Message:
        """Paint until finished or stopped by the server; with `keep`, write `output` (PNG)."""
        from impasto.api import Job, open_session
        from impasto.core.options import from_dict

        session = open_session(from_dict(Job, job, where="job"), output=output, cache=self._cache)
        started, stopped = time.monotonic(), False
        for step in session.steps():
            stopped = step.index < step.total and self._channel.is_stopped()
            if stopped or step.index == step.total:
                break
            self._channel.tell(step.index, step.total, preview=partial(_shown, step))
        painting = session.painting(step)
        seconds = time.monotonic() - started
        if keep:
            painting.save(output)
        height, width = painting.pixels.shape[-2:]
        return {
            "stopped": stopped,
            "size": [width, height],
            "method": session.job.paint.method,
            "seconds": round(seconds, 3),
            "preview": as_jpeg(painting.pixels, PREVIEW_PX),
        }

    def thumbnail(self, style: str, *, px: int, folder: str) -> Message:
        """A sample photograph in a style, as JPEG. The photograph is cached in `folder`."""
        from impasto.api import Job, Painting, SizeOptions, StyleSource, open_session
        from impasto.image.samples import sample

        content = Path(folder, "sample.png")
        if not content.exists():
            Painting(sample("chelsea").pixels).save(content)
        job = Job(content=str(content), styles=(StyleSource(source=style),), size=SizeOptions(size=px))
        *_, last = open_session(job, cache=self._cache).steps()
        return {"preview": as_jpeg(last.picture(), px)}

    def recipe(self, path: str) -> Message:
        """The options in the metadata of a finished picture, by group, and the digests of its inputs by their names."""
        from impasto.api import recipe_of

        recipe = recipe_of(path)
        return {"job": recipe.job.to_dict(), "inputs": dict(recipe.inputs)}


def _shown(step: Any) -> bytes:
    return as_jpeg(step.picture(), PREVIEW_PX)


def without_paths(text: str) -> str:
    """An error message without paths of this machine."""
    return re.sub(r"(?:[A-Za-z]:)?[\\/][^\s:;,]+", "the picture", text)


def _limit_memory(memory_bytes: int) -> None:
    """Limit the data segment of this process, if the system supports it."""
    try:
        import resource
    except ImportError:  # not a POSIX system: the time limit remains
        return
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
