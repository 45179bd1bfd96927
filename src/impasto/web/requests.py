"""From what a client asks for to the options of a job; and the options as a form."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from impasto.config.job import Job
from impasto.core.errors import OptionError
from impasto.core.options import Choice, Range, annotated_fields, from_dict, help_text, rules

GROUPS = ("paint", "size", "colour", "arbitrary", "fast", "losses", "optimise")
FILE_OPTIONS = frozenset({("optimise", "init_picture"), ("losses", "encoder"), ("arbitrary", "network")})
"""Options that name files or weights: a client never chooses these."""

MOST_STYLES = 16

PathOf = Callable[[str], Path]
"""The file of an uploaded picture by its id; raises `KeyError`."""


def job_options(body: Any, *, path_of: PathOf, names: frozenset[str]) -> dict[str, Any]:
    """The dictionary of a `Job` from a request's JSON body.

    `content` is an id of an upload; each of `styles` has either a `picture` (an id) or a `name` (one of `names`), and
    may have `weight`, `scale` and `mask` (an id); all other keys are groups of options. Raises `OptionError` for
    anything else: unknown keys, wrong types, paths, numbers out of range.
    """
    if not isinstance(body, Mapping):
        raise OptionError("the request is not a JSON object.")
    unknown = sorted(set(body) - {"content", "styles", "live", *GROUPS})
    if unknown:
        raise OptionError(f"unknown keys: {', '.join(map(repr, unknown))}.")
    for group, name in FILE_OPTIONS:
        if isinstance(body.get(group), Mapping) and name in body[group]:
            raise OptionError(f"{group}.{name} cannot be chosen here.")
    styles = body.get("styles")
    if not isinstance(styles, list) or not 1 <= len(styles) <= MOST_STYLES:
        raise OptionError(f"styles is to be a list of 1 to {MOST_STYLES} styles.")
    options = {
        "content": str(_upload(body.get("content"), "content", path_of=path_of)),
        "styles": [_style(style, path_of=path_of, names=names) for style in styles],
        **{group: body[group] for group in GROUPS if group in body},
    }
    return from_dict(Job, options, "job").to_dict()


def _style(style: Any, *, path_of: PathOf, names: frozenset[str]) -> dict[str, Any]:
    if not isinstance(style, Mapping) or set(style) - {"name", "picture", "weight", "scale", "mask"}:
        raise OptionError("a style has a name or a picture, and may have a weight, a scale and a mask.")
    if ("name" in style) == ("picture" in style):
        raise OptionError("a style has either a name or a picture.")
    if "name" in style and style["name"] not in names:
        raise OptionError("there is no style of this name.")
    source = style["name"] if "name" in style else str(_upload(style["picture"], "style", path_of=path_of))
    row = {"source": source} | {key: style[key] for key in ("weight", "scale") if key in style}
    return row | (
        {"mask": str(_upload(style["mask"], "mask", path_of=path_of))} if style.get("mask") is not None else {}
    )


def _upload(id: Any, what: str, *, path_of: PathOf) -> Path:
    try:
        if not isinstance(id, str):
            raise KeyError(id)
        return path_of(id)
    except KeyError:
        raise OptionError(f"the {what} is not a picture that was uploaded. Upload it again.") from None


def form() -> list[dict[str, Any]]:
    """Every option that a client may set, in the order of the groups of `Job`."""
    hints = {field.name: hint for field, hint in annotated_fields(Job) if field.name in GROUPS}
    return [
        {"group": group, "about": (cls.__doc__ or "").strip(), "options": list(_inputs(group, cls))}
        for group, cls in hints.items()
    ]


def _inputs(group: str, cls: type) -> Any:
    for field, hint in annotated_fields(cls):
        if (group, field.name) in FILE_OPTIONS:
            continue
        row: dict[str, Any] = {
            "name": field.name,
            "help": help_text(hint),
            "default": field.default if field.default is not dataclasses.MISSING else None,
        }
        for rule in rules(hint):
            if isinstance(rule, Choice):
                row["choices"] = list(rule.names)
            elif isinstance(rule, Range):
                row |= {"low": rule.low, "high": rule.high}
        yield row
