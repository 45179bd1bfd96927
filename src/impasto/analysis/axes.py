"""The axes of a sweep: an option's path and the values that it takes."""

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
"""The axis that blends the first style into the second: 0 is the first alone, 1 the second."""


@dataclass(frozen=True)
class Axis:
    """An option and its values. `path` is whole (`paint.strength`), `texts` are the values as they were written."""

    path: str
    texts: tuple[str, ...]
    values: tuple[Any, ...]

    @property
    def name(self) -> str:
        """The last part of the path, for labels; with the number for what belongs to one style."""
        parts = self.path.split(".")
        return f"style {parts[1]} {parts[2]}" if parts[0] == "styles" else parts[-1]


@dataclass(frozen=True)
class Point:
    """One combination of values: `texts` by the axes' paths, and the job that they make."""

    texts: Mapping[str, str]
    job: Job


def axis_from(text: str, job: Job) -> Axis:
    """The axis that `NAME=VALUE,VALUE,…` describes.

    NAME is an option's path in `Job` or its last part where that is clear, `styles.N.weight` (N from 1), or `mix`.
    In values that are lists, `+` joins the items; `none` is no value. Every value must be of the option's type:
    `OptionError` and `UnknownName` say which is not.
    """
    name, sign, values = text.partition("=")
    texts = tuple(value.strip() for value in values.split(","))
    if not sign or not name.strip() or not all(texts):
        raise OptionError(f"--vary {text!r} is no axis; NAME=VALUE,VALUE is needed, as in strength=0.5,1,2.")
    if doubled := sorted({value for value in texts if texts.count(value) > 1}):
        raise OptionError(f"--vary {text!r} names {', '.join(doubled)} twice; once is enough.")
    path, hint = path_of(name.strip(), job)
    return Axis(path, texts, tuple(value_from(hint, value, path) for value in texts))


def path_of(name: str, job: Job) -> tuple[str, Any]:
    """The whole path of an option of `job`, and its type. `UnknownName` where there is none or it is not clear."""
    known = known_paths(job)
    wanted = name.lstrip("-").replace("-", "_")
    if wanted in known:
        return wanted, known[wanted]
    ends = [path for path in known if path.endswith("." + wanted) and not path.startswith("styles.")]
    if len(ends) == 1:
        return ends[0], known[ends[0]]
    if wanted == MIX:
        raise OptionError(
            f"{MIX} blends two styles, and {len(job.styles)} is given. Name a second: --style picture.jpg"
        )
    if ends:
        raise OptionError(f"{name!r} may be {' or '.join(ends)}; write one of them in full.")
    short = {path.rsplit(".", 1)[-1] for path in known if not path.startswith("styles.")}
    raise UnknownName.of("option to vary", name, known if "." in name else short)


def known_paths(job: Job) -> dict[str, Any]:
    """Every option that a sweep of `job` can vary, by its whole path, with its type."""
    found: dict[str, Any] = {MIX: float} if len(job.styles) > 1 else {}
    for field, hint in annotated_fields(Job):
        if field.name == "styles":
            for number in range(1, len(job.styles) + 1):
                found |= {f"styles.{number}.{f.name}": h for f, h in annotated_fields(StyleSource)}
        elif isinstance(hint, type) and issubclass(hint, Options):
            found |= {f"{field.name}.{f.name}": h for f, h in annotated_fields(hint)}
        else:
            found[field.name] = hint
    return found


def value_from(hint: Any, text: str, where: str) -> Any:
    """The value of type `hint` that `text` writes; `OptionError` where it writes none."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return value_from(args[0], text, where)
    if origin is typing.Union or origin is types.UnionType:
        if type(None) in args and text.lower() == "none":
            return None
        return value_from(next(a for a in args if a is not type(None)), text, where)
    if origin is tuple:
        parts = text.split("+")
        if args[-1] is not Ellipsis and len(parts) != len(args):
            raise OptionError(f"{where} is {text!r}; {len(args)} numbers joined by + are needed.")
        kinds = [args[0]] * len(parts) if args[-1] is Ellipsis else list(args)
        return tuple(value_from(kind, part, where) for kind, part in zip(kinds, parts, strict=True))
    return _scalar(hint, text, where)


def _scalar(hint: Any, text: str, where: str) -> Any:
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


def points(job: Job, axes: Sequence[Axis]) -> list[Point]:
    """Every combination, the last axis changing fastest. `OptionError` where an option refuses a value."""
    paths = [axis.path for axis in axes]
    if doubled := sorted({path for path in paths if paths.count(path) > 1}):
        raise OptionError(f"{', '.join(doubled)} is varied twice; give all its values in one --vary.")
    return list(_points(job, axes))


def _points(job: Job, axes: Sequence[Axis]) -> Iterator[Point]:
    for choice in itertools.product(*(range(len(axis.values)) for axis in axes)):
        values = {axis.path: axis.values[i] for axis, i in zip(axes, choice, strict=True)}
        texts = {axis.path: axis.texts[i] for axis, i in zip(axes, choice, strict=True)}
        yield Point(texts, job_with(job, values))


def job_with(job: Job, values: Mapping[str, Any]) -> Job:
    """`job` with options set by their whole paths, checked as if it were read from a recipe."""
    data = job.to_dict()
    for path, value in values.items():
        if path == MIX:
            for style, weight in zip(data["styles"], _shares(value, len(job.styles)), strict=True):
                style["weight"] = weight
            continue
        *groups, name = path.split(".")
        place: Any = data
        for group in groups:
            place = place[int(group) - 1] if isinstance(place, list) else place[group]
        place[name] = str(value) if isinstance(value, Path) else value
    return from_dict(Job, data, "job")


def _shares(mix: float, count: int) -> list[float]:
    if not 0 <= mix <= 1:
        raise OptionError(f"{MIX} is {mix:g}; it must be between 0 (the first style) and 1 (the second).")
    return [1 - mix, mix, *[0.0] * (count - 2)]
