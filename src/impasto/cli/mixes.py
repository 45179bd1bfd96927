"""The styles of a mix, as they are written on the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

from impasto.cli.flags import about, list_flag
from impasto.config.job import StyleSource
from impasto.core.errors import ImageUnreadable, OptionError
from impasto.styles.weighted import split_weight

STYLES = Group("Styles", sort_key=1)
Styles = Annotated[
    tuple[str, ...],
    Parameter(
        metavar="STYLE[:WEIGHT]",
        help="Style and optional weight (wave:0.5): a picture, a file of impasto style save, or the name or file of a "
        "trained style. Repeat it for several styles.",
    ),
]


@Parameter(name="*", group=STYLES, negative=(), show_choices=False)
@dataclass(frozen=True, kw_only=True)
class StyleFlags:
    """The styles that a command paints in."""

    style: Styles
    style_scale: Annotated[
        tuple[float, ...],
        list_flag("style_scale", tuple[float, ...], help=f"{about(StyleSource, 'scale')} One number, or one a style."),
    ] = (1.0,)

    def sources(self) -> tuple[StyleSource, ...]:
        """The styles of a job."""
        return mix_of(self.style, scales=self.style_scale, masks=())


@Parameter(name="*", group=STYLES, negative=(), show_choices=False)
@dataclass(frozen=True, kw_only=True)
class MixFlags(StyleFlags):
    """Styles that are mixed, each in its region if there are masks."""

    mask: Annotated[
        tuple[Path, ...],
        list_flag(
            "mask",
            tuple[Path, ...],
            help=f"{about(StyleSource, 'mask')} One for all styles, or repeated, one a style, in their order.",
            shows_default=False,
        ),
    ] = ()

    def sources(self, styles: Sequence[str] | None = None) -> tuple[StyleSource, ...]:
        """The styles of a job: those of the flags, or `styles` in place of a folder."""
        return mix_of(self.style if styles is None else styles, scales=self.style_scale, masks=self.mask)


def mix_of(styles: Sequence[str], *, scales: Sequence[float], masks: Sequence[Path]) -> tuple[StyleSource, ...]:
    """The styles with their weights, scales and masks (one for all, or one each), in order."""
    from impasto.session.request import mix_sources

    return mix_sources([split_weight(text) for text in styles], scales=scales, masks=masks)


def style_mixes(
    styles: Sequence[str], *, pairs: str | None, output: Path | None, styles_of: Callable[[str], Sequence[str]]
) -> list[tuple[str, ...]]:
    """The mixes to paint in: all styles together, or each separately.

    Each is painted separately with `pairs`, and for a folder or a network of several: `styles_of` has the
    latter's, none for any other text. Raises `OptionError` for a folder or network that would be mixed, or weighted.
    """
    parts = [_each_of(text, output=output, styles_of=styles_of) for text in styles]
    whole = next((text for text, part in zip(styles, parts, strict=True) if part is not None), None)
    if pairs is None and whole is None:
        return [tuple(styles)]
    if pairs is None and len(styles) > 1:
        raise OptionError(
            f"{whole} has styles that are painted separately; {len(styles) - 1} more --style cannot be mixed in. Add "
            "--pairs all to paint in each, or name the styles to mix."
        )
    for text, part in zip(styles, parts, strict=True):
        if split_weight(text)[1] != 1:
            kind = "a style" if part is None else "a folder or network"
            raise OptionError(f"--style {text} gives a weight to {kind} that is not mixed. Leave the weight out.")
    mixes: list[tuple[str, ...]] = [
        (text,) for own, part in zip(styles, parts, strict=True) for text in ((own,) if part is None else part)
    ]
    if pairs is not None and len(mixes) == 1 and whole is None:
        raise OptionError(f"--pairs {pairs} is for several styles, and there is one. Repeat --style, or name a folder.")
    return mixes


def is_folder(style: str) -> bool:
    """Whether the text of a style is a folder of styles."""
    from impasto.weights.catalogue import is_weight_folder

    return Path(name := split_weight(style)[0]).is_dir() and not is_weight_folder(name)


def outside(paths: Iterable[Path], *, folder: Path, output: Path | None, what: str) -> list[Path]:
    """The files of a folder of inputs outside the folder of outputs."""
    kept_out = output.resolve() if output is not None else None
    if kept_out == folder.resolve():
        raise OptionError(f"{output} holds the {what}; name another folder, or outputs would be taken for {what}.")
    if (
        kept_out is None or folder.resolve() not in kept_out.parents
    ):  # outputs may also be in a parent folder of the inputs
        return list(paths)
    return [path for path in paths if kept_out not in path.resolve().parents]


def _each_of(text: str, *, output: Path | None, styles_of: Callable[[str], Sequence[str]]) -> Sequence[str] | None:
    """The styles of a folder or network; None for a single style."""
    name = split_weight(text)[0]
    if not is_folder(text):
        return list(styles_of(name)) or None
    from impasto.image.files import pictures_in

    folder = Path(name)
    kept = [path for path in folder.rglob("*.safetensors") if not path.name.startswith(".")]
    styles = outside(sorted([*pictures_in(folder), *kept]), folder=folder, output=output, what="styles")
    if not styles:
        raise ImageUnreadable(f"{folder} holds no pictures and no saved styles.")
    return [str(path) for path in styles]
