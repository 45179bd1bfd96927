"""Command-line flags from option dataclasses: no flag is written by hand.

`flagged` turns an option dataclass into one whose fields cyclopts reads as flags. Help, range, names and default come
from the field, and the dataclass checks its values itself when it is made.
"""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

from cyclopts import Group, Parameter, Token

from impasto.core.errors import OptionError
from impasto.core.options import Choice, Options, annotated_fields, help_text, rules

O = TypeVar("O", bound=Options)  # noqa: E741


_OPTION = re.compile(r"`([a-z][a-z0-9_]*)(?:=([^`]*))?`")


def flag(name: str) -> str:
    """`long_side_px` as the user writes it: `--long-side-px`."""
    return "--" + name.replace("_", "-")


def with_flags(message: str) -> str:
    """A message with its options as flags: `method=optimise` is `--method optimise`, `audio=False` `--no-audio`."""
    return _OPTION.sub(lambda match: _with_value(*match.groups()), message)


def _with_value(name: str, value: str | None) -> str:
    if value == "False":
        return f"--no-{flag(name)[2:]}"
    return flag(name) if value in (None, "True") else f"{flag(name)} {value}"


def flagged(title: str) -> Callable[[type[O]], type[O]]:
    """Decorates an empty subclass of an option dataclass: its fields become flags under `title` in the help.

    Lists are written with commas (`--steps 60,40,20`), lists of paths by repeating the flag, pairs as `640x480`.
    """

    def decorate(cls: type[O]) -> type[O]:
        annotations = {}
        for field, hint in annotated_fields(cls):
            annotations[field.name] = Annotated[hint, _parameter(field, hint)]
            default: Any = dataclasses.field(default=field.default, default_factory=field.default_factory)  # type: ignore[call-overload]
            setattr(cls, field.name, default)
        cls.__annotations__ = annotations
        made: type[O] = dataclasses.dataclass(frozen=True, kw_only=True)(cls)
        return Parameter(name="*", group=Group.create_ordered(title))(made)

    return decorate


def plain(options: O) -> O:
    """The same options as an object of the class that was flagged, so that equality and pickling are as usual."""
    base: type[O] = type(options).__mro__[1]
    return base(**{field.name: getattr(options, field.name) for field in dataclasses.fields(options)})  # type: ignore[arg-type]


def listed(name: str, kind: Any, *, help: str) -> Parameter:
    """A flag with several values, for a parameter that belongs to no option dataclass."""
    return Parameter(help=help, negative=(), show_default=as_text, **_reading(name, kind))


def about(cls: type, name: str) -> str:
    """The help text of one option."""
    return next(_help(hint) for field, hint in annotated_fields(cls) if field.name == name)


def as_text(value: Any) -> str:
    """A value as one writes it after a flag: `(60, 40)` is `60,40`."""
    if isinstance(value, tuple | list):
        return ",".join(as_text(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _parameter(field: dataclasses.Field[Any], hint: Any) -> Parameter:
    kind = _without_none(hint)
    settings: dict[str, Any] = {"help": _help(hint), "show_choices": False, "negative": ()}
    if field.default is None or field.default is False or field.default == ():
        settings["show_default"] = False
    elif isinstance(field.default, bool):
        del settings["negative"]  # --no-…
    else:
        settings["show_default"] = as_text
    names = [name for rule in rules(hint) if isinstance(rule, Choice) for name in rule.names]
    if typing.get_origin(kind) is tuple:
        settings |= _reading(field.name, kind)
    elif kind is int:
        settings["converter"] = lambda _, tokens: _number(flag(field.name), tokens[-1].value, int)
    elif names:
        settings["choices"] = names
    return Parameter(**settings)


def _help(hint: Any) -> str:
    return with_flags(help_text(hint)).replace("`", "")  # the help is plain text: reading it as Markdown takes 0.06 s


def _reading(name: str, kind: Any) -> dict[str, Any]:
    """How a flag with several values is read."""
    item, *more = typing.get_args(kind)
    if item is Path:
        return {"metavar": "PATH"}
    pair = more != [Ellipsis]
    sign = {int: "INT", float: "NUMBER"}.get(item, "NAME")

    def converted(_: Any, tokens: Sequence[Token]) -> tuple[Any, ...]:
        texts = [text for token in tokens for text in _split(token.value, pair=pair)]
        if not texts:
            raise OptionError(f"{flag(name)} is empty; a value is needed, or leave it out.")
        if pair and len(texts) != 1 + len(more):
            raise OptionError(f"{flag(name)} is {tokens[-1].value!r}; width and height are needed, as in 640x480.")
        return tuple(_number(flag(name), text, item) for text in texts)

    return {"n_tokens": 1, "converter": converted, "metavar": "WxH" if pair else f"{sign},…"}


def _split(text: str, *, pair: bool) -> list[str]:
    if pair:
        text = text.lower().replace("×", "x").replace("x", ",")
    return [part.strip() for part in text.split(",") if part.strip()]


def _number(name: str, text: str, kind: type) -> Any:
    try:
        return kind(text)
    except ValueError:
        needed = "a whole number" if kind is int else "a number"
        raise OptionError(f"{name} has {text!r}; {needed} is needed.") from None


def _without_none(hint: Any) -> Any:
    """The type in `Annotated[type | None, …]`."""
    kind = typing.get_args(hint)[0] if typing.get_origin(hint) is Annotated else hint
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        others = [arg for arg in typing.get_args(kind) if arg is not type(None)]
        return others[0] if len(others) == 1 else kind
    return kind
