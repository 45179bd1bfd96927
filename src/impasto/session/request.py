"""A job from the arguments of a call: a preset, the option groups that are given, and the styles of the mix."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from impasto.config.job import Job, StyleSource
from impasto.config.presets import PRESETS
from impasto.core.errors import OptionError, UnknownName
from impasto.core.options import Options, changed_options, from_dict, option

O = TypeVar("O", bound=Options)  # noqa: E741


def job_from(
    content: str, styles: Sequence[StyleSource], *, preset: str | None = None, groups: Mapping[str, Options | None]
) -> Job:
    """The job of a call: the options of `preset`, overridden by those of `groups` that do not have their default.

    Raises `UnknownName` for another preset.
    """
    if preset is not None and preset not in PRESETS:
        raise UnknownName.of("preset", preset, known=PRESETS)
    values: dict[str, dict[str, Any]] = {}
    for group, options in (PRESETS[preset].options if preset is not None else {}).items():
        values[group] = dict(options)
    for group, given in groups.items():
        if given is not None:
            changed = {name: getattr(given, name) for name in changed_options(given)}
            keeps = group != "size" or not changed  # one size replaces another
            values[group] = (values.get(group, {}) if keeps else {}) | changed
    return from_dict(Job, {"content": content, "styles": tuple(styles), **values})


def mix_sources(
    styles: Sequence[tuple[str, float]], *, scales: float | Sequence[float], masks: str | Path | Sequence[str | Path]
) -> tuple[StyleSource, ...]:
    """The styles with their weights, scales and masks, of which there is one for all or one for each.

    Raises `OptionError` for another number of them, and for values out of range.
    """
    each_scale = _each("style_scale", [scales] if isinstance(scales, int | float) else list(scales), count=len(styles))
    given = [masks] if isinstance(masks, str | Path) else list(masks)
    each_mask = _each("mask", given, count=len(styles)) if given else [None] * len(styles)
    return tuple(
        _source(*style, scale=scale, mask=None if mask is None else Path(mask))
        for style, scale, mask in zip(styles, each_scale, each_mask, strict=True)
    )


def _source(source: str, weight: float, *, scale: float, mask: Path | None) -> StyleSource:
    """The style; errors name its fields as the arguments of a call."""
    try:
        return StyleSource(source=source, weight=weight, scale=scale, mask=mask)
    except OptionError as error:
        names = {option("weight"): f"the weight of `style={source}`", option("scale"): option("style_scale")}
        raise type(error)(re.sub("`(weight|scale)`", lambda name: names[name[0]], str(error))) from error


def with_given(options: O, **values: Any) -> O:
    """The options, with the entries of `values` that are not None."""
    return type(options)(**{**vars(options), **{name: value for name, value in values.items() if value is not None}})


T = TypeVar("T")


def _each(name: str, values: list[T], *, count: int) -> list[T]:
    if len(values) not in (1, count):
        raise OptionError(f"`{name}` has {len(values)} values; one is needed, or one for each style: {count}.")
    return values * count if len(values) == 1 else values
