"""A cache of teachers' paintings on disk."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from impasto.core.errors import ImageError
from impasto.image import files
from impasto.image.pixels import to_bytes
from impasto.session.prepared import PreparedStylizer


@dataclass(frozen=True)
class TeacherCache:
    """Paintings as PNGs, keyed by the teacher and by the pixels of the content.

    Several trainings may share a folder.
    """

    folder: Path

    def path(self, painter: PreparedStylizer, content: Tensor) -> Path:
        """The file of the painting of `content` `(1, 3, h, w)`."""
        height, width = content.shape[-2:]
        digest = hashlib.sha256(to_bytes(content).tobytes()).hexdigest()
        by = f"{re.sub(r'[^A-Za-z0-9._+-]', '_', painter.name)[:40]}-{painter.sha256[:16]}"
        return self.folder / by / f"{width}x{height}-{digest[:32]}.png"

    def load(self, painter: PreparedStylizer, content: Tensor) -> Tensor | None:
        """The painting `(1, 3, h, w)`; None if it is missing or unreadable."""
        path = self.path(painter, content)
        if not path.is_file():
            return None
        try:
            pixels = files.read(path).pixels
        except ImageError:
            return None
        return pixels if pixels.shape == content.shape else None

    def store(self, painter: PreparedStylizer, content: Tensor, *, painting: Tensor) -> Tensor:
        """Write a painting, and return it as it will be read: with 8 bits. Raises `ImageUnwritable`."""
        path = self.path(painter, content)
        files.write(path, painting)
        return files.read(path).pixels
