"""Command-line flags from option dataclasses: no flag is written by hand.

`takes_options` lets a command take option dataclasses, whose fields cyclopts reads as flags. Help, range, names and
default come from the field, and the dataclass checks its values itself when it is made.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
import types
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, ParamSpec, TypeGuard, TypeVar

from cyclopts import Group, Parameter, Token

from impasto.core.errors import OptionError
from impasto.core.options import Choice, Options, annotated_fields, help_text, rules

O = TypeVar("O", bound=Options)  # noqa: E741
P = ParamSpec("P")
R = TypeVar("R")

Force = Annotated[
    bool,
    Parameter(
        negative=(),
        show_default=False,
        help="Paint even if the estimated memory exceeds --memory-gb or the free memory.",
    ),
]


def output_flag(help: str) -> Parameter:
    """`--output` or `-o`, for a file or folder."""
    return Parameter(name=("--output", "-o"), negative=(), help=help)


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


def takes_options(run: Callable[P, R]) -> Callable[P, R]:
    """Decorates a command: each option dataclass among its parameters is read from the flags of its fields.

    The command itself gets plain objects. Dataclasses of which every field has a default need none in the signature.
    """
    parameters, hints = inspect.signature(run).parameters, typing.get_type_hints(run)
    classes = {name: hints[name] for name in parameters if dataclasses.is_dataclass(hints[name])}
    read = {name: flagged(cls) if _is_options(cls) else cls for name, cls in classes.items()}
    defaults = {name: cls() for name, cls in read.items() if not _required(cls)}

    @functools.wraps(run)
    def parsed(*args: P.args, **kwargs: P.kwargs) -> R:
        for name, value in (defaults | kwargs).items():
            cls = classes.get(name)
            kwargs[name] = plain(cls, value) if _is_options(cls) else value  # type: ignore[type-var]
        return run(*args, **kwargs)

    parsed.__annotations__ = {**typing.get_type_hints(run, include_extras=True), **read}
    parsed.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [entry.replace(default=defaults.get(name, entry.default)) for name, entry in parameters.items()]
    )
    return parsed


def flagged(cls: type[O]) -> type[O]:
    """A subclass of an option dataclass whose fields cyclopts reads as flags, under its title in the help.

    Lists are written with commas (`60,40,20`), lists of paths by repeating the flag, pairs as `640x480`. Fields that
    are option dataclasses themselves become flags too, each under its own title.
    """
    made: dict[str, Any] = {"__annotations__": {}, "__doc__": cls.__doc__}
    for field, hint in annotated_fields(cls):
        nested = flagged(hint) if _is_options(hint) else None
        made["__annotations__"][field.name] = nested or Annotated[hint, _parameter(field, hint)]
        made[field.name] = dataclasses.field(default=field.default, default_factory=nested or field.default_factory)  # type: ignore[call-overload]
    read: type[O] = dataclasses.dataclass(frozen=True, kw_only=True)(type(f"{cls.__name__}Flags", (cls,), made))
    return Parameter(name="*", group=Group.create_ordered(with_flags(cls.title)))(read)


def plain(cls: type[O], options: O) -> O:
    """The same options as an object of `cls`, which was flagged, so that equality and pickling are as usual."""
    values = {}
    for field, hint in annotated_fields(cls):
        value = getattr(options, field.name)
        values[field.name] = plain(hint, value) if _is_options(hint) else value
    return cls(**values)


def list_flag(name: str, kind: Any, *, help: str, shows_default: bool = True) -> Parameter:
    """A flag with several values, for a parameter that belongs to no option dataclass."""
    return Parameter(help=help, negative=(), show_default=flag_text if shows_default else False, **_reading(name, kind))


def about(cls: type, name: str) -> str:
    """The help text of one option."""
    return next(_help(hint) for field, hint in annotated_fields(cls) if field.name == name)


def flag_text(value: Any) -> str:
    """A value as one writes it after a flag: `(60, 40)` is `60,40`."""
    if isinstance(value, tuple | list):
        return ",".join(flag_text(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _is_options(hint: Any) -> TypeGuard[type[Options]]:
    return isinstance(hint, type) and issubclass(hint, Options)


def _required(cls: Any) -> bool:
    missing = dataclasses.MISSING
    return any(field.default is missing and field.default_factory is missing for field in dataclasses.fields(cls))


def _parameter(field: dataclasses.Field[Any], hint: Any) -> Parameter:
    kind = _without_none(hint)
    settings: dict[str, Any] = {"help": _help(hint), "show_choices": False, "negative": ()}
    if field.default is None or field.default is False or field.default == ():
        settings["show_default"] = False
    elif isinstance(field.default, bool):
        del settings["negative"]  # --no-…
    else:
        settings["show_default"] = flag_text
    names = [name for rule in rules(hint) if isinstance(rule, Choice) for name in rule.names]
    if typing.get_origin(kind) is tuple:
        settings |= _reading(field.name, kind)
    elif kind is int:
        settings["converter"] = lambda _, tokens: _number(flag(field.name), tokens[-1].value, kind=int)
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
        return tuple(_number(flag(name), text, kind=item) for text in texts)

    return {"n_tokens": 1, "converter": converted, "metavar": "WxH" if pair else f"{sign},…"}


def _split(text: str, *, pair: bool) -> list[str]:
    if pair:
        text = text.lower().replace("×", "x").replace("x", ",")
    return [part.strip() for part in text.split(",") if part.strip()]


def _number(name: str, text: str, *, kind: type) -> Any:
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
