"""Strict reading and writing of option dataclasses.

Options are frozen, keyword-only dataclasses. A field's type is `Annotated[type, Doc("help"), Range(…) | Choice(…)]`, so
that one definition gives the default, the check, the help text, the command-line flag and the recipe.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from impasto.core.errors import OptionError, UnknownName

T = TypeVar("T")


@dataclass(frozen=True)
class Doc:
    """The help text of an option."""

    text: str


@dataclass(frozen=True)
class Range:
    """Closed interval of allowed numbers; `None` leaves a side open. NaN is never allowed."""

    low: float | None = None
    high: float | None = None

    def check(self, name: str, value: float) -> None:
        """Raise `OptionError` when `value` lies outside."""
        below = self.low is not None and value < self.low
        above = self.high is not None and value > self.high
        if math.isnan(value) or below or above:
            raise OptionError(f"{name} is {value:g}; it must be {self}.")

    def __str__(self) -> str:
        if self.high is None:
            return f"{self.low:g} or more"
        if self.low is None:
            return f"{self.high:g} or less"
        return f"between {self.low:g} and {self.high:g}"


@dataclass(frozen=True)
class Choice:
    """The allowed names of an option."""

    names: tuple[str, ...]

    def check(self, name: str, value: str) -> None:
        """Raise `UnknownName` when `value` is none of the names."""
        if value not in self.names:
            raise UnknownName.of(name, value, self.names)


class Options:
    """Base of all option dataclasses: checks the ranges of its fields when it is made."""

    def __post_init__(self) -> None:
        for field, hint in annotated_fields(type(self)):
            value = getattr(self, field.name)
            items = value if isinstance(value, tuple) else (value,)
            for rule in rules(hint):
                for item in items:
                    if item is not None:
                        rule.check(flag(field.name), item)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, nested options as nested dicts."""
        return {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}  # type: ignore[arg-type]


def flag(name: str) -> str:
    """`long_side_px` as the user writes it: `--long-side-px`."""
    return "--" + name.replace("_", "-")


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls, include_extras=True)


def annotated_fields(cls: type) -> Iterator[tuple[dataclasses.Field[Any], Any]]:
    """Each field of an option dataclass with its resolved, still annotated type."""
    for field in dataclasses.fields(cls):
        yield field, _hints(cls)[field.name]


def rules(hint: Any) -> list[Range | Choice]:
    """The checks in an annotated type."""
    return [m for m in getattr(hint, "__metadata__", ()) if isinstance(m, Range | Choice)]


def help_text(hint: Any) -> str:
    """The help in an annotated type, with its range or names appended."""
    docs = [m.text for m in getattr(hint, "__metadata__", ()) if isinstance(m, Doc)]
    return " ".join(docs)


def from_dict(cls: type[T], data: Mapping[str, Any], where: str = "options") -> T:
    """An options object from plain values; unknown keys and wrong types raise, missing keys take their defaults."""
    hints = {field.name: hint for field, hint in annotated_fields(cls)}
    for key in data:
        if key not in hints:
            raise UnknownName.of(f"key in {where}", key, hints)
    return cls(**{k: _typed(hints[k], v, f"{where}.{k}") for k, v in data.items()})


def _plain(value: Any) -> Any:
    if isinstance(value, Options):
        return value.to_dict()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return str(value)


def _typed(hint: Any, value: Any, where: str) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return _typed(args[0], value, where)
    if origin is typing.Union or origin is types.UnionType:
        if value is None and type(None) in args:
            return None
        return _first_that_fits([a for a in args if a is not type(None)], value, where)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise OptionError(f"{where} is {value!r}; a list is needed.")
        kinds = [args[0]] * len(value) if len(args) == 2 and args[1] is Ellipsis else list(args)
        if len(kinds) != len(value):
            raise OptionError(f"{where} has {len(value)} values; {len(kinds)} are needed.")
        return tuple(_typed(k, v, f"{where}[{i}]") for i, (k, v) in enumerate(zip(kinds, value, strict=True)))
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise OptionError(f"{where} is {value!r}; a table is needed.")
        return from_dict(typing.cast(type, hint), value, where)
    return _scalar(hint, value, where)


def _first_that_fits(hints: list[Any], value: Any, where: str) -> Any:
    for hint in hints[:-1]:
        try:
            return _typed(hint, value, where)
        except OptionError:
            continue
    return _typed(hints[-1], value, where)


def _scalar(hint: Any, value: Any, where: str) -> Any:
    if typing.get_origin(hint) is typing.Literal:
        Choice(typing.get_args(hint)).check(where, value)
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(hint, type) and isinstance(value, hint) and (hint is bool or not isinstance(value, bool)):
        return value
    if isinstance(hint, type) and hint not in (bool, int, float, str) and isinstance(value, str):
        return hint(value)
    raise OptionError(f"{where} is {value!r}; {getattr(hint, '__name__', hint)} is needed.")
