"""Measures of a picture against the content and styles that its recipe names, or against given ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from impasto.config.job import StyleSource
from impasto.config.optimise import LossOptions
from impasto.core.errors import OptionError, StateError
from impasto.core.paths import sha256_of
from impasto.encoders.table import Encoder, load_encoder
from impasto.image.clouds import clouds_seed
from impasto.image.pixels import over_white
from impasto.image.resize import SizeHW
from impasto.metrics.table import METRICS, Case, reference_rows
from impasto.session.image_like import PictureLike, picture_from
from impasto.session.inputs import style_pixels
from impasto.session.painting import recipe_of
from impasto.session.recipe import Recipe
from impasto.styles.catalogue import StyleCatalogue
from impasto.styles.resolved import PictureStyle

STYLE_SHORT_SIDE_PX = 64  # as for painting in one pass
Rows = dict[str, dict[str, float]]


@dataclasses.dataclass(frozen=True)
class MeasuredStyle:
    """A style picture with its weight in the mean of several, and its scale in the painting."""

    picture: PictureLike
    weight: float = 1.0
    scale: float = 1.0

    def sized(self, output_hw: SizeHW) -> Tensor:
        """The pixels at the size at which they are painted on an output of `output_hw`."""
        name = str(self.picture) if isinstance(self.picture, str | Path) else "(in memory)"
        source = StyleSource(source=name, scale=self.scale)
        picture = picture_from(self.picture)
        return style_pixels(picture, source, output_hw=output_hw, short_side_px=STYLE_SHORT_SIDE_PX)


@dataclasses.dataclass(frozen=True)
class Compared:
    """What a picture is measured against. Trained and saved styles, which have no picture, are left out."""

    content: PictureLike
    styles: tuple[MeasuredStyle, ...]


def compared(
    output: PictureLike,
    content: PictureLike | None = None,
    *,
    style: PictureLike | Sequence[PictureLike] | None = None,
    style_scale: float | None = None,
) -> Compared:
    """The given content and styles, and those of the recipe in `output` in place of what is not given.

    Raises what `evaluate` raises for recipes.
    """
    recipe = _recipe_at(output) if content is None or style is None else None
    if content is None:
        assert recipe is not None
        content = recipe.job.content
        _check_unchanged(recipe, content)
    styles = _given_styles(style) if style is not None else _styles_of(recipe)
    if style_scale is not None:
        styles = [dataclasses.replace(each, scale=style_scale) for each in styles]
    return Compared(content, tuple(styles))


def evaluate(
    output: PictureLike,
    content: PictureLike | None = None,
    *,
    style: PictureLike | Sequence[PictureLike] | None = None,
    style_scale: float | None = None,
    encoder: str | Encoder = "compact-vgg",
    progress: Callable[[int, int, str], None] | None = None,
) -> Rows:
    """Measure `output` against `content` and `style`, by row: the output, a copy of the content, a copy of the style.

    Without `content`, `style` or `style_scale` they are those of the recipe in `output`, a file. The copies mark the
    ends of each scale. Everything is compared at the output's size, and the style at the size at which it is painted;
    of several styles it is the mean by weight. Measures of the style are left out for trained and saved styles, which
    have no picture. Transparent pictures are laid over white. Names, units and directions are in
    `impasto.metrics.table.METRICS`. `progress` is called with the number of finished measures, the total, and the name
    of the next one. Raises `ImageError`, `OptionError`, `WeightsError`, and `StateError` where a recipe is needed and
    there is none, or its pictures have changed.
    """
    against = compared(output, content, style=style, style_scale=style_scale)
    features = load_encoder(encoder, precision="float32") if isinstance(encoder, str) else encoder
    out = picture_from(output)
    shown, kept = (over_white(picture.pixels, picture.alpha) for picture in (out, picture_from(against.content)))
    pictures: list[Tensor | None] = [each.sized(out.size_hw) for each in against.styles]
    cases = [_case(shown, kept, style=picture, encoder=features) for picture in pictures or [None]]
    rows = [reference_rows(each, progress=progress) for each in cases]
    return _mean(rows, [each.weight for each in against.styles] or [1.0])


def _case(output: Tensor, content: Tensor, *, style: Tensor | None, encoder: Encoder) -> Case:
    layers = {name: getattr(LossOptions(), name) for name in ("content_layers", "style_layers")}
    return Case(output=output, content=content, style=style, encoder=encoder, **layers)


def _recipe_at(output: PictureLike) -> Recipe:
    """The recipe of a picture file, with its paths as seen from the current folder."""
    if not isinstance(output, str | Path):
        raise OptionError("a picture in memory has no recipe. Give its content and style.")
    return recipe_of(output).moved(Path(output).parent, Path.cwd())


def _given_styles(style: PictureLike | Sequence[PictureLike]) -> list[MeasuredStyle]:
    pictures: Any = style if isinstance(style, list | tuple) else [style]
    return [MeasuredStyle(picture) for picture in pictures]


def _styles_of(recipe: Recipe | None) -> list[MeasuredStyle]:
    assert recipe is not None
    catalogue, styles = StyleCatalogue(), []
    for source in recipe.job.styles:
        if isinstance(catalogue.resolve(source), PictureStyle):
            _check_unchanged(recipe, source.source)
            styles.append(MeasuredStyle(source.source, source.weight, source.scale))
    return styles


def _check_unchanged(recipe: Recipe, name: str) -> None:
    """Raise `StateError` if an input of the recipe is another file now, `OptionError` for clouds."""
    if clouds_seed(name) is not None:
        raise OptionError("a texture has no content to be measured against. Give `content=FILE`.")
    if Path(name).is_file() and sha256_of(Path(name)) != recipe.inputs.get(name):
        raise StateError(f"{name} has changed since the picture was painted. Name the content and style.")


def _mean(rows: Sequence[Rows], weights: Sequence[float]) -> Rows:
    total = sum(weights)
    return {
        row: {
            name: sum(each[row][name] * weight for each, weight in zip(rows, weights, strict=True)) / total
            for name in METRICS
            if name in rows[0][row]
        }
        for row in rows[0]
    }
