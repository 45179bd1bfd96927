"""The styles of a mix, as they are written on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

from impasto.cli.flags import about, listed
from impasto.config.job import StyleSource
from impasto.core.errors import OptionError
from impasto.core.options import Range, annotated_fields, rules
from impasto.styles.weighted import split_weight


@Parameter(name="*", group=Group("Styles", sort_key=1), negative=(), show_choices=False)
@dataclass(frozen=True, kw_only=True)
class MixFlags:
    """The styles that a command paints in."""

    style: Annotated[
        tuple[str, ...],
        Parameter(
            metavar="FILE[:WEIGHT]",
            help="Picture whose style is taken, a style of impasto style save, or the name or file of a trained style, "
            "and its share. Repeated, they are mixed.",
        ),
    ]
    style_scale: Annotated[
        tuple[float, ...],
        listed("style_scale", tuple[float, ...], help=f"{about(StyleSource, 'scale')} One number, or one a style."),
    ] = (1.0,)
    mask: Annotated[
        tuple[Path, ...],
        listed(
            "mask",
            tuple[Path, ...],
            help=f"{about(StyleSource, 'mask')} Repeated, one a style, in their order.",
            shows_default=False,
        ),
    ] = ()

    def sources(self, styles: Sequence[str] | None = None) -> tuple[StyleSource, ...]:
        """The styles of a job: those of the flags, or `styles`, which a folder among them stands for."""
        return mixed(self.style if styles is None else styles, scales=self.style_scale, masks=self.mask)


def mixed(styles: Sequence[str], *, scales: Sequence[float], masks: Sequence[Path]) -> tuple[StyleSource, ...]:
    """The styles with their weights, scales (one for all, or one each) and masks (none, or one each), in order."""
    if len(scales) not in (1, len(styles)):
        raise OptionError(f"--style-scale has {len(scales)} numbers; one is needed, or one a style: {len(styles)}.")
    if masks and len(masks) != len(styles):
        raise OptionError(f"--mask is given {len(masks)} times; one a style is needed: {len(styles)}.")
    each = list(scales) * (len(styles) if len(scales) == 1 else 1)
    sources = []
    for i, text in enumerate(styles):
        path, weight = split_weight(text)
        mask = masks[i] if masks else None
        _check("weight", f"the weight in --style {text}", weight)
        _check("scale", "--style-scale", each[i])
        sources.append(StyleSource(source=path, weight=weight, scale=each[i], mask=mask))
    return tuple(sources)


def _check(field: str, name: str, value: float) -> None:
    """Raise, under the name that the user knows, what `StyleSource` would raise."""
    hints = {entry.name: hint for entry, hint in annotated_fields(StyleSource)}
    for rule in rules(hints[field]):
        if isinstance(rule, Range):
            rule.check(name, value)
