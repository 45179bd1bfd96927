"""The process that decodes and paints: what a client sends is never decoded in the server itself."""

from __future__ import annotations

import io
import re
import time
import traceback
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from impasto.core.errors import ImpastoError

PREVIEW_PX = 1024
"""Longest side of pictures that are sent while a painting grows."""

PREVIEW_EVERY_S = 0.25

Message = dict[str, Any]


def work(connection: Connection, memory_bytes: int, *, threads: int | None) -> None:
    """Answer tasks until the connection closes. Each answer ends with a message of kind `done` or `failed`."""
    _limit_memory(memory_bytes)
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    tasks = Tasks(connection)
    while True:
        try:
            task = connection.recv()
        except (EOFError, OSError):
            return
        if task["kind"] != "stop":  # one that came after its task had ended
            connection.send(tasks.answer(task))


class Tasks:
    """What the process can do, by name; networks and decoded styles are cached between tasks."""

    def __init__(self, connection: Connection) -> None:
        from impasto.api import JobCache

        self._connection, self._cache, self._number = connection, JobCache(), 0
        self._kinds: Mapping[str, Callable[..., Message]] = {
            "ready": dict,
            "inspect": self.inspect,
            "paint": self.paint,
            "thumbnail": self.thumbnail,
            "recipe": self.recipe,
        }

    def answer(self, task: Message) -> Message:
        """The last message of a task."""
        try:
            kind, self._number = task.pop("kind"), task.pop("number")
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

    def inspect(self, path: str, *, most_pixels: int, preview_px: int) -> Message:
        """Size and a JPEG preview of a picture file; raises where the header promises more than `most_pixels`."""
        from impasto.api import read

        check_header(Path(path), most_pixels)
        pixels = read(path).pixels
        return {"size": [pixels.shape[-1], pixels.shape[-2]], "preview": as_jpeg(pixels, preview_px)}

    def paint(self, job: Message, output: str) -> Message:
        """Paint to the end, or until a message arrives, and write `output` (PNG). Sends previews of the growth."""
        from impasto.api import Job, open_session
        from impasto.core.options import from_dict

        session = open_session(from_dict(Job, job, "job"), output=output, cache=self._cache)
        started, sent, stopped = time.monotonic(), 0.0, False
        for step in session.steps():
            stopped = step.index < step.total and self._is_stopped()
            if stopped or step.index == step.total:
                break
            if time.monotonic() - sent > PREVIEW_EVERY_S:
                preview = as_jpeg(step.picture(), PREVIEW_PX)
                self._connection.send({"kind": "step", "step": step.index, "steps": step.total, "preview": preview})
                sent = time.monotonic()
        painting = session.painting(step)
        painting.save(output)
        height, width = painting.pixels.shape[-2:]
        return {
            "stopped": stopped,
            "size": [width, height],
            "method": session.job.paint.method,
            "seconds": round(time.monotonic() - started, 3),
            "preview": as_jpeg(painting.pixels, PREVIEW_PX),
        }

    def _is_stopped(self) -> bool:
        """Whether the running task was asked to stop; older requests are dropped."""
        while self._connection.poll():
            if self._connection.recv().get("number") == self._number:
                return True
        return False

    def thumbnail(self, style: str, *, px: int, folder: str) -> Message:
        """A sample photograph in a trained style, as JPEG. The photograph is kept in `folder`."""
        from impasto.api import Job, Painting, SizeOptions, StyleSource, open_session
        from impasto.image.samples import sample

        content = Path(folder, "sample.png")
        if not content.exists():
            Painting(sample("chelsea").pixels).save(content)
        job = Job(content=str(content), styles=(StyleSource(source=style),), size=SizeOptions(size=px))
        *_, last = open_session(job, cache=self._cache).steps()
        return {"preview": as_jpeg(last.picture(), px)}

    def recipe(self, path: str) -> Message:
        """The options in the metadata of a finished picture, by group."""
        from impasto.api import recipe_of

        return {"job": recipe_of(path).job.to_dict()}


def without_paths(text: str) -> str:
    """An error text in which paths of this machine are replaced."""
    return re.sub(r"(?:[A-Za-z]:)?[\\/][^\s:;,]+", "the picture", text)


def check_header(path: Path, most_pixels: int) -> None:
    """Raise `ImageError` where a picture's header promises more pixels, over all frames, than `most_pixels`."""
    from PIL import Image

    from impasto.core.errors import ImageError

    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # our own limit has its own message
    try:
        with Image.open(path) as image:
            width, height = image.size
            frames = min(getattr(image, "n_frames", 1), 10_000)
    except Exception as error:
        raise ImageError("the file is not a picture that can be read.") from error
    finally:
        Image.MAX_IMAGE_PIXELS = limit
    if width * height * max(1, frames) > most_pixels:
        raise ImageError(
            f"the picture has {width}×{height} px"
            + (f" in {frames} frames" if frames > 1 else "")
            + f"; {most_pixels / 1e6:g} megapixels are allowed."
        )


def as_jpeg(pixels: Any, longest_px: int) -> bytes:
    """`(1, 3, h, w)` in `[0, 1]` as JPEG bytes, scaled down to a long side of `longest_px`."""
    from PIL import Image

    from impasto.image.pixels import to_bytes
    from impasto.image.resize import resized

    height, width = pixels.shape[-2:]
    ratio = longest_px / max(height, width)
    if ratio < 1:
        pixels = resized(pixels, (max(1, round(height * ratio)), max(1, round(width * ratio))))
    buffer = io.BytesIO()
    Image.fromarray(to_bytes(pixels.clamp(0, 1))[0]).save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def _limit_memory(memory_bytes: int) -> None:
    """Bound the data segment of this process, where the system can."""
    try:
        import resource
    except ImportError:  # not a POSIX system: the time limit remains
        return
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
