"""Frames of a film as pictures in a folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
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
        try:
            record = json.loads((self.folder / RECORD).read_text(encoding="utf-8"))
            if record["job"] == self.job and record["frames"]:
                self.frames = self._kept = int(record["frames"])
                return safetensors.torch.load_file(self.folder / STATE)
        except (OSError, ValueError, KeyError):
            record = None
        if record is None and self.folder.is_dir() and any(self.folder.iterdir()):
            raise VideoUnwritable(f"the folder {self.folder} is not empty; name a new one for the frames.")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for path in self.folder.glob("[0-9]*.png"):
                path.unlink()
        except OSError as error:
            raise VideoUnwritable(f"the film cannot be written to {self.folder}: {error.strerror}.") from error
        return {}

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
        try:
            with written_whole(self.folder / STATE) as temporary:
                safetensors.torch.save_file(
                    {k: v.clone(memory_format=torch.contiguous_format) for k, v in self._state.items()}, temporary
                )
            with written_whole(self.folder / RECORD) as temporary:
                temporary.write_text(json.dumps({"job": self.job, "frames": self.frames}), encoding="utf-8")
        except OSError as error:
            raise VideoUnwritable(f"the film cannot be written to {self.folder}: {error.strerror}.") from error
        self._kept, self._state = self.frames, None

    def abandon(self) -> None:
        """Nothing to do: each frame is a complete file."""

    def remove(self) -> None:
        """Delete the files for resuming."""
        (self.folder / RECORD).unlink(missing_ok=True)
        (self.folder / STATE).unlink(missing_ok=True)
