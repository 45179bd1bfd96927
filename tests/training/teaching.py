"""Teachers that need no network, and painters by name as a training asks for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from impasto.core.errors import ImageTooSmall, UnknownName
from impasto.session.prepared import PreparedStylizer, prepare_style
from impasto.stylizers.protocol import Mix, Step


@dataclass(frozen=True)
class Painting:
    """A stylizer that paints by a function, and counts how often."""

    change: Callable[[Tensor], Tensor]
    calls: list[int] = field(default_factory=list)

    def prepare(self, mix: Mix) -> None:
        pass

    def paint(self, content: Tensor, code: None, *, strength: float = 1.0) -> Iterator[Step]:
        self.calls.append(1)
        assert not torch.is_grad_enabled()
        size = (content.shape[-2], content.shape[-1])
        yield Step(1, 2, size, content)
        yield Step(2, 2, size, torch.lerp(content, self.change(content), strength))


def demanding(content: Tensor) -> Tensor:
    raise ImageTooSmall(f"the content is {content.shape[-1]} px here; 99 px are needed. Use a larger `size`.")


CHANGES: dict[str, Callable[[Tensor], Tensor]] = {
    "inverted": lambda content: 1 - content,
    "dark": lambda content: content / 4,
    "same": lambda content: content,
    "demanding": demanding,
    "broken": lambda content: content * torch.nan,
}


class Painters:
    """Gives painters by the names of `CHANGES`, the real ones of files; `calls` counts what each has painted."""

    def __init__(self) -> None:
        self.calls: dict[str, list[int]] = {}

    def __call__(self, source: str, **options: Any) -> PreparedStylizer:
        name = Path(source).name
        if Path(source).is_file():
            return prepare_style(source, **options)
        if name not in CHANGES:
            raise UnknownName.of("trained style", name, known=CHANGES)
        stylizer = Painting(CHANGES[name], self.calls.setdefault(name, []))
        strength = options["strength"]
        return PreparedStylizer(name, f"{name} {strength:g}".ljust(64, "0"), stylizer, None, strength)


def invert(contents: Path, folder: Path, *, scale: int = 1, but: tuple[str, ...] = ()) -> Path:
    """The pictures of `contents`, inverted and `scale` times as large, in `folder`."""
    folder.mkdir(parents=True)
    for path in sorted(contents.iterdir()):
        if path.stem not in but:
            picture = Image.open(path).convert("RGB")
            inverted = Image.fromarray(255 - np.asarray(picture))
            size = (scale * picture.width, scale * picture.height)
            inverted.resize(size, Image.Resampling.BICUBIC).save(folder / f"{path.stem}.png")
    return folder
