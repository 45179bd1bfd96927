"""Frames of a film as pictures in a folder."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from impasto.core.errors import VideoUnwritable
from impasto.core.paths import written_whole
from impasto.image import files
from impasto.video.frames import Frame

RECORD = ".film.json"
STATE = ".film.safetensors"


@dataclass
class Folder:
    """Writes frames as 000001.png and so on, and resumes after the last; same interface as `parts.Parts`.

    The state that the next frame needs is saved every `part_frames` frames and by `finish`.
    """

    folder: Path
    job: str
    part_frames: int = 25
    frames: int = 0
    _state: Mapping[str, Tensor] | None = None
    _kept: int = 0

    def open(self) -> Mapping[str, Tensor]:
        """Find the existing frames; the state after the last one, empty if there are none.

        Raises `VideoUnwritable` for a folder with other files, which would be mixed with the frames.
        """
        job, frames = self._read()
        if frames and job == self.job:
            self.frames = self._kept = frames
            return safetensors.torch.load_file(self.folder / STATE)
        if frames:
            raise VideoUnwritable(
                f"{self.folder} has {frames} frames of a job that was stopped, with other options. Give the same "
                "options to continue it, `restart` to discard them, or another folder."
            )
        if job is None and self.folder.is_dir() and any(self.folder.iterdir()):
            raise VideoUnwritable(f"the folder {self.folder} is not empty; name a new one for the frames.")
        with _write_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._write_record()
        return {}

    def _read(self) -> tuple[str | None, int]:
        """The job in the record and its number of frames; None without a record."""
        try:
            record = json.loads((self.folder / RECORD).read_text(encoding="utf-8"))
            return str(record["job"]), int(record["frames"])
        except (OSError, ValueError, KeyError, TypeError):
            return None, 0

    def add(self, frame: Frame, *, duration_s: Fraction, state: Mapping[str, Tensor]) -> None:
        """Write one frame. Raises `ImageUnwritable`."""
        files.write(self.folder / f"{self.frames + 1:06d}.png", frame.pixels, alpha=frame.alpha)
        self.frames, self._state = self.frames + 1, state
        if self.frames - self._kept >= self.part_frames:
            self.finish()

    def finish(self) -> None:
        """Save the state after the last frame."""
        if self._state is None:
            return
        with _write_errors(self.folder):
            with written_whole(self.folder / STATE) as temporary:
                safetensors.torch.save_file(
                    {k: v.clone(memory_format=torch.contiguous_format) for k, v in self._state.items()}, temporary
                )
            self._write_record()
        self._kept, self._state = self.frames, None

    def abandon(self) -> None:
        """Nothing to do: each frame is a complete file."""

    def discard(self) -> None:
        """Delete the frames of a stopped job; the folder of a finished one is left alone."""
        if self._read()[0] is None:
            return
        with _write_errors(self.folder):
            for path in self.folder.glob("[0-9]*.png"):
                path.unlink()
        self.remove()

    def remove(self) -> None:
        """Delete the files for resuming."""
        (self.folder / RECORD).unlink(missing_ok=True)
        (self.folder / STATE).unlink(missing_ok=True)

    def _write_record(self) -> None:
        with written_whole(self.folder / RECORD) as temporary:
            temporary.write_text(json.dumps({"job": self.job, "frames": self.frames}), encoding="utf-8")


@contextlib.contextmanager
def _write_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise VideoUnwritable(f"the film cannot be written to {folder}: {error.strerror}.") from error
