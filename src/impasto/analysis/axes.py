"""The axes of a sweep: options and their values."""

from __future__ import annotations

import itertools
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from impasto.config.job import Job, StyleSource
from impasto.core.errors import OptionError, UnknownName
from impasto.core.options import Options, annotated_fields, from_dict

MIX = "mix"
"""The axis that blends the first style (0) into the second (1)."""


@dataclass(frozen=True)
class Axis:
    """An option by its full path (`paint.strength`), and its values as typed and as parsed."""

    path: str
    texts: tuple[str, ...]
    values: tuple[Any, ...]

    @property
    def name(self) -> str:
        """A short name for labels: the last part of the path, with the number of the style for options of one style."""
        parts = self.path.split(".")
        return f"style {parts[1]} {parts[2]}" if parts[0] == "styles" else parts[-1]


@dataclass(frozen=True)
class GridPoint:
    """One combination of values: their texts by path, and the job with these values."""

    texts: Mapping[str, str]
    job: Job


def axis_from(text: str, job: Job) -> Axis:
    """Parse `NAME=VALUE,VALUE,…`.

    NAME is the path of an option in `Job`, its last part if that is unique, `styles.N.weight` (N from 1), or `mix`. In
    a value that is a list, `+` joins the items; `none` is None. Raises `UnknownName` for an unknown option and
    `OptionError` for a value of the wrong type.
    """
    name, sign, values = text.partition("=")
    texts = tuple(value.strip() for value in values.split(","))
    if not sign or not name.strip() or not all(texts):
        raise OptionError(f"`vary` {text!r} is not an axis; NAME=VALUE,VALUE is needed, as in strength=0.5,1,2.")
    if repeated := sorted({value for value in texts if texts.count(value) > 1}):
        raise OptionError(f"`vary` {text!r} has {', '.join(repeated)} twice; once is enough.")
    path, hint = path_of(name.strip(), job)
    return Axis(path, texts, tuple(value_from(hint, value, where=path) for value in texts))


def path_of(name: str, job: Job) -> tuple[str, Any]:
    """Full path and type of an option of `job`. Raises `UnknownName`, or `OptionError` for an ambiguous name."""
    known = known_paths(job)
    wanted = name.lstrip("-").replace("-", "_")
    if wanted in known:
        return wanted, known[wanted]
    ends = [path for path in known if path.endswith("." + wanted) and not path.startswith("styles.")]
    if len(ends) == 1:
        return ends[0], known[ends[0]]
    if wanted == MIX:
        raise OptionError(f"{MIX} blends two styles; the job has {len(job.styles)}. Name a second: `style=picture.jpg`")
    if ends:
        raise OptionError(f"{name!r} is ambiguous: {' or '.join(ends)}. Write the full path.")
    short = {path.rsplit(".", 1)[-1] for path in known if not path.startswith("styles.")}
    raise UnknownName.of("option to vary", name, known=known if "." in name else short)


def known_paths(job: Job) -> dict[str, Any]:
    """The types of all options that a sweep of `job` can vary, by full path."""
    types_by_path: dict[str, Any] = {MIX: float} if len(job.styles) > 1 else {}
    for field, hint in annotated_fields(Job):
        if field.name == "styles":
            for number in range(1, len(job.styles) + 1):
                types_by_path |= {f"styles.{number}.{f.name}": h for f, h in annotated_fields(StyleSource)}
        elif isinstance(hint, type) and issubclass(hint, Options):
            types_by_path |= {f"{field.name}.{f.name}": h for f, h in annotated_fields(hint)}
        else:
            types_by_path[field.name] = hint
    return types_by_path


def value_from(hint: Any, text: str, *, where: str) -> Any:
    """Parse `text` as a value of type `hint`. Raises `OptionError`."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return value_from(args[0], text, where=where)
    if origin is typing.Union or origin is types.UnionType:
        if type(None) in args and text.lower() == "none":
            return None
        return value_from(next(a for a in args if a is not type(None)), text, where=where)
    if origin is tuple:
        parts = text.split("+")
        if args[-1] is not Ellipsis and len(parts) != len(args):
            raise OptionError(f"{where} is {text!r}; {len(args)} numbers joined by + are needed.")
        kinds = [args[0]] * len(parts) if args[-1] is Ellipsis else list(args)
        return tuple(value_from(kind, part, where=where) for kind, part in zip(kinds, parts, strict=True))
    return _scalar(hint, text, where=where)


def _scalar(hint: Any, text: str, *, where: str) -> Any:
    if hint is bool:
        if text.lower() not in ("true", "false"):
            raise OptionError(f"{where} is {text!r}; true or false is needed.")
        return text.lower() == "true"
    if hint in (int, float):
        try:
            return hint(text)
        except ValueError as error:
            needed = "a whole number" if hint is int else "a number"
            raise OptionError(f"{where} is {text!r}; {needed} is needed.") from error
    return text


def points(job: Job, axes: Sequence[Axis]) -> list[GridPoint]:
    """Every combination, the last axis changing fastest. Raises `OptionError` for a value out of range."""
    paths = [axis.path for axis in axes]
    if repeated := sorted({path for path in paths if paths.count(path) > 1}):
        raise OptionError(f"{', '.join(repeated)} has two axes; give all its values in one `vary`.")
    return list(_points(job, axes))


def _points(job: Job, axes: Sequence[Axis]) -> Iterator[GridPoint]:
    for choice in itertools.product(*(range(len(axis.values)) for axis in axes)):
        values = {axis.path: axis.values[i] for axis, i in zip(axes, choice, strict=True)}
        texts = {axis.path: axis.texts[i] for axis, i in zip(axes, choice, strict=True)}
        yield GridPoint(texts, job_with(job, values))


def job_with(job: Job, values: Mapping[str, Any]) -> Job:
    """`job` with options set by their full paths, checked as when it is read from a recipe."""
    data = job.to_dict()
    for path, value in values.items():
        if path == MIX:
            for style, weight in zip(data["styles"], _mix_weights(value, len(job.styles)), strict=True):
                style["weight"] = weight
            continue
        *groups, name = path.split(".")
        place: Any = data
        for group in groups:
            place = place[int(group) - 1] if isinstance(place, list) else place[group]
        place[name] = str(value) if isinstance(value, Path) else value
    return from_dict(Job, data, where="job")


def _mix_weights(mix: float, count: int) -> list[float]:
    if not 0 <= mix <= 1:
        raise OptionError(f"{MIX} is {mix:g}; it must be between 0 (the first style) and 1 (the second).")
    return [1 - mix, mix, *[0.0] * (count - 2)]
