"""A finished picture: its file, and the recipe in it."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from impasto.config.pictures import OutputOptions
from impasto.core.errors import ImpastoError, OptionError, StateError
from impasto.core.paths import folder_lock, written_whole
from impasto.image import files
from impasto.image.pixels import to_bytes
from impasto.session import recipe


@dataclass(frozen=True, eq=False, repr=False)
class Painting:
    """A finished picture.

    `pixels` `(1, 3, h, w)` in `[0, 1]`; `alpha` `(1, 1, h, w)` or None; `recipe` is None for inputs from memory,
    which `redo` could not read again; its paths are relative to `folder`; `exif` has the content's date, camera and
    copyright (`image.metadata.EXIF_TAGS`).
    """

    pixels: Tensor
    alpha: Tensor | None = None
    recipe: recipe.Recipe | None = None
    folder: Path | None = None
    exif: Mapping[str, str] = field(default_factory=dict)

    def save(self, path: str | Path, options: OutputOptions | None = None) -> None:
        """Write a picture file with the recipe in its metadata, or in a sidecar if format or options require it.

        The content's date, camera and copyright are kept. With `strip` nothing is, and a sidecar is written only if the
        options ask for it.

        Paths in the recipe become relative to the file's folder. If the picture has no recipe, an old sidecar of `path`
        is removed.
        """
        options, path = options or OutputOptions(), Path(path)
        made = self.recipe
        if made is not None and self.folder is not None:
            made = made.moved(self.folder, path.parent)
        made = made if made is None else made.written_with(options)
        notes = {recipe.KEY: made.to_json()} if made is not None else {}
        beside = _writes_sidecar(path, options)
        if made is not None:
            check_sidecar(path, options)
        with folder_lock(path.parent) if beside else contextlib.nullcontext():  # of two saves, one writes both files
            files.write(
                path,
                self.pixels,
                alpha=self.alpha,
                bits=options.bits,
                quality=options.quality,
                notes=notes,
                exif=self.exif,
                strip=options.strip,
            )
            if made is None or (options.strip and not beside):
                _remove_sidecar(sidecar_path(path))
            elif beside:
                with written_whole(sidecar_path(path)) as temporary:
                    temporary.write_text(made.to_json() + "\n", encoding="utf-8")

    def __repr__(self) -> str:
        h, w = self.pixels.shape[-2:]
        return f"Painting({w}×{h} px{'' if self.recipe is None else f', {self.recipe.job.paint.method}'})"

    def _repr_png_(self) -> bytes:
        """PNG data, for notebooks."""
        buffer = io.BytesIO()
        self.to_pil().save(buffer, format="PNG")
        return buffer.getvalue()

    def to_pil(self) -> Image.Image:
        """An 8-bit Pillow image."""
        channels = [self.pixels] if self.alpha is None else [self.pixels, self.alpha]
        return Image.fromarray(to_bytes(torch.cat(channels, dim=1))[0])


def recipe_of(path: str | Path) -> recipe.Recipe:
    """The recipe in a picture's metadata or sidecar, or in a JSON file. `StateError` if there is none."""
    path = Path(path)
    if path.suffix.lower() == ".json":
        return recipe.Recipe.from_json(_text_in(path), str(path))
    text = files.read_notes(path).get(recipe.KEY)
    if text is None and os.path.isfile(sidecar_path(path)):
        text = _text_in(sidecar_path(path))
    if text is None:
        raise StateError(f"{path} carries no recipe: it was not made by impasto, or its metadata was removed.")
    return recipe.Recipe.from_json(text, str(path))


def has_recipe(path: Path) -> bool:
    """Whether a picture has a recipe, in its metadata or in a sidecar."""
    try:
        recipe_of(path)
    except ImpastoError:
        return False
    return True


def check_sidecar(path: Path, options: OutputOptions) -> None:
    """Raise `OptionError` if the sidecar would replace a file that is not a recipe."""
    beside = sidecar_path(path)
    if _writes_sidecar(path, options) and os.path.isfile(beside) and not has_recipe(beside):
        raise OptionError(
            f"{beside} exists and is not a recipe; the recipe of {path.name} would replace it. Name another output."
        )


def _writes_sidecar(path: Path, options: OutputOptions) -> bool:
    return options.sidecar or not (options.strip or files.carries_notes(path))


def sidecar_path(path: Path) -> Path:
    """The path of a picture's sidecar."""
    return path.with_name(path.name + ".json")


def _text_in(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise StateError(f"{path} cannot be read ({error}); a JSON file with a recipe is needed.") from error


def _remove_sidecar(path: Path) -> None:
    if os.path.isfile(path):  # false for a name that is too long
        with contextlib.suppress(StateError):  # not a recipe: an unrelated file
            recipe.Recipe.from_json(_text_in(path), str(path))
            path.unlink()
