"""Strict reading and writing of option dataclasses.

Options are frozen, keyword-only dataclasses. A field's type is `Annotated[type, Doc("help"), Range(…) | Choice(…)]`, so
that one definition gives the default, the check, the help text, the command-line flag and the recipe.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, TypeVar

from impasto.core.errors import OptionError, UnknownName

T = TypeVar("T")

LARGEST_INT, LARGEST_FLOAT = 2**53, 1e30
"""Limits of options that declare none: larger integers are not exact as floats, larger floats overflow float32."""


@dataclass(frozen=True)
class Doc:
    """The help text of an option."""

    text: str


@dataclass(frozen=True)
class Range:
    """Closed interval of allowed numbers; `None` leaves a side open. NaN and infinity are never allowed."""

    low: float | None = None
    high: float | None = None

    def check(self, name: str, value: float) -> None:
        """Raise `OptionError` if `value` is out of range or not a number."""
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise OptionError(f"{name} is {value!r}; a number is needed.")
        if isinstance(value, int) and value.bit_length() > sys.float_info.max_exp:
            raise OptionError(f"{name} is a whole number of {value.bit_length()} bits; it must be {self}.")
        if self.high is None and isinstance(value, int) and abs(value) > LARGEST_INT:
            raise OptionError(f"{name} is {value}; it must be {self}, and at most {LARGEST_INT}.")
        if self.high is None and math.isfinite(value) and abs(value) > LARGEST_FLOAT:
            raise OptionError(f"{name} is {value:g}; it must be {self}, and at most {LARGEST_FLOAT:g}.")
        below = self.low is not None and value < self.low
        above = self.high is not None and value > self.high
        if not math.isfinite(value) or below or above:
            raise OptionError(f"{name} is {value:g}; it must be {self}.")

    def __str__(self) -> str:
        if self.low is None and self.high is None:
            return "a finite number"
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
        """Raise `UnknownName` if `value` is not among the names."""
        if value not in self.names:
            raise UnknownName.of(name, value, known=self.names)

    def __str__(self) -> str:
        return f"one of {', '.join(self.names)}"


class Options:
    """Base of all option dataclasses: checks the types and ranges of its fields when it is made.

    A list given for a tuple becomes one, a whole number given for a float becomes one, and a string given for a path.
    `title` is the heading of its options in a form or help page.
    """

    title: ClassVar[str] = "Options"

    def __init_subclass__(cls, *, title: str | None = None, **defaults: Any) -> None:
        """`defaults` are other defaults for options of the base."""
        super().__init_subclass__()
        if title is not None:
            cls.title = title
        for name, value in defaults.items():
            cls.__annotations__[name] = _hints(cls.__mro__[1])[name]
            setattr(cls, name, value)

    def __post_init__(self) -> None:
        for field, hint in annotated_fields(type(self)):
            value = _typed(hint, getattr(self, field.name), where=option(field.name))
            object.__setattr__(self, field.name, value)
            items = value if isinstance(value, tuple) else (value,)
            for rule in rules(hint):
                for item in items:
                    if item is not None:
                        rule.check(option(field.name), item)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, nested options as nested dicts."""
        return {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}  # type: ignore[arg-type]


def changed_options(options: Options) -> list[str]:
    """The names of the options that do not have their default value."""
    fields = dataclasses.fields(options)  # type: ignore[arg-type]
    return [field.name for field in fields if getattr(options, field.name) != _default(field)]


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def option(name: str) -> str:
    """How an error names an option: in backquotes, which the command line renders as a flag."""
    return f"`{name}`"


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
    return " ".join([*docs, *(f"({rule})" for rule in rules(hint))])


def from_dict(cls: type[T], data: Mapping[str, Any], *, where: str = "options") -> T:
    """An options object from plain values; unknown keys and wrong types raise, missing keys take their defaults.

    Raises `UnknownName` or `OptionError`, the latter also where a key without a default is missing.
    """
    hints = {field.name: hint for field, hint in annotated_fields(cls)}
    for key in data:
        if key not in hints:
            raise UnknownName.of(f"key in {where}", key, known=hints)
    absent = [field.name for field, _ in annotated_fields(cls) if field.name not in data and not _has_default(field)]
    if absent:
        raise OptionError(f"{where} has no {', '.join(absent)}, which are required.")
    return cls(**{k: _typed(hints[k], v, where=f"{where}.{k}") for k, v in data.items()})


def _has_default(field: dataclasses.Field[Any]) -> bool:
    return field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING


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


def _typed(hint: Any, value: Any, *, where: str) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return _typed(args[0], value, where=where)
    if origin is typing.Union or origin is types.UnionType:
        if value is None and type(None) in args:
            return None
        return _first_that_fits([a for a in args if a is not type(None)], value, where=where)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise OptionError(f"{where} is {value!r}; a list is needed.")
        kinds = [args[0]] * len(value) if len(args) == 2 and args[1] is Ellipsis else list(args)
        if len(kinds) != len(value):
            raise OptionError(f"{where} has {len(value)} values; {len(kinds)} are needed.")
        return tuple(_typed(k, v, where=f"{where}[{i}]") for i, (k, v) in enumerate(zip(kinds, value, strict=True)))
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        if isinstance(value, hint):
            return value
        if not isinstance(value, Mapping):
            raise OptionError(f"{where} is {value!r}; a table is needed.")
        return from_dict(hint, value, where=where)
    return _scalar(hint, value, where=where)


def _first_that_fits(hints: list[Any], value: Any, *, where: str) -> Any:
    for hint in hints[:-1]:
        try:
            return _typed(hint, value, where=where)
        except OptionError:
            continue
    return _typed(hints[-1], value, where=where)


def _scalar(hint: Any, value: Any, *, where: str) -> Any:
    if typing.get_origin(hint) is typing.Literal:
        Choice(typing.get_args(hint)).check(where, value)
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return _as_float(value, where)
    if isinstance(hint, type) and isinstance(value, hint) and (hint is bool or not isinstance(value, bool)):
        return value
    if isinstance(hint, type) and hint not in (bool, int, float, str) and isinstance(value, str):
        return hint(value)
    raise OptionError(f"{where} is {value!r}; {getattr(hint, '__name__', hint)} is needed.")


def _as_float(value: int, where: str) -> float:
    try:
        return float(value)
    except OverflowError as error:
        raise OptionError(f"{where} is a whole number of {value.bit_length()} bits; that is too large.") from error
