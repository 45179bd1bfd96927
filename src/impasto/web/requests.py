"""Tasks for the worker from clients' requests, and the options as a form."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impasto.config.job import REST, Job
from impasto.config.new_style import NewStyleFitOptions, NewStyleOptions
from impasto.config.pictures import SizeOptions
from impasto.config.video import FrameOptions, VideoOptions
from impasto.core.errors import OptionError
from impasto.core.options import Choice, Options, Range, annotated_fields, from_dict, help_text, rules
from impasto.methods.table import METHODS

GROUPS = ("paint", "size", "colour", "arbitrary", "fast", "losses", "optimise")
FILM_GROUPS: Mapping[str, type[Options]] = {"video": FrameOptions}
LEARN_GROUPS: Mapping[str, type[Options]] = {"style": NewStyleOptions, "fit": NewStyleFitOptions}
FILE_OPTIONS = frozenset(
    {("optimise", "init_picture"), ("losses", "encoder"), ("arbitrary", "network")}
    | {("style", name) for name in ("network", "name", "replace", "contents")}
    | {
        ("fit", name)
        for name in ("tensorboard", "animation", "device", "checkpoint_every", "log_every", "sample_every")
    }
)
"""Options that name or write files, or are set by the studio. Clients cannot set them."""

MOST_STYLES, LONGEST_NAME = 16, 60
SHEET_PX = (64, 640)

KINDS_OF_STYLE = ("name", "picture", "saved")

PathOf = Callable[[str], Path]
"""The file of an upload by its id; raises `KeyError`."""


@dataclass(frozen=True, kw_only=True)
class Uploads:
    """The files of uploads by their ids, and the text of each style of the studio by its name."""

    pictures: PathOf
    films: PathOf
    saved: PathOf
    sources: Mapping[str, str]


def job_options(body: Any, uploads: Uploads) -> dict[str, Any]:
    """The dictionary of a `Job` from a request's JSON body.

    `content` is the id of an upload. Each of `styles` has one of `name`, `picture` and `saved` (ids of uploads), and
    optionally `weight`, `scale` and `mask` (an id, or `rest`). All other keys are groups of options. Raises
    `OptionError` for anything else: unknown keys, wrong types, paths, numbers out of range.
    """
    _check_keys(body, {"content", "styles", *GROUPS})
    styles = body.get("styles")
    if not isinstance(styles, list) or not 1 <= len(styles) <= MOST_STYLES:
        raise OptionError(f"styles must be a list of 1 to {MOST_STYLES} styles.")
    options = {
        "content": str(_upload(body.get("content"), "content", path_of=uploads.pictures)),
        "styles": [_style(style, uploads) for style in styles],
        **{group: body[group] for group in GROUPS if group in body},
    }
    return from_dict(Job, options, where="job").to_dict()


def film_task(body: Any, uploads: Uploads) -> dict[str, Any]:
    """A task `film` from a body as of `job_options`, with `film`, an id, in place of `content`, and a group `video`."""
    _check_keys(body, {"film", "styles", *GROUPS, *FILM_GROUPS})
    options = from_dict(VideoOptions, _group(body, "video"), where="video").to_dict()
    film = _upload(body["film"], "film", path_of=uploads.films)
    rest = {key: value for key, value in body.items() if key not in ("film", *FILM_GROUPS)}
    pictures: PathOf = lambda id: film if id == film.stem else uploads.pictures(id)  # noqa: E731
    job = job_options({**rest, "content": film.stem}, dataclasses.replace(uploads, pictures=pictures))
    return {"kind": "film", "job": job, "options": options}


def learn_task(body: Any, uploads: Uploads) -> dict[str, Any]:
    """A task `learn` from a body with `picture`, an id, the `name` of the new style, and groups of options."""
    _check_keys(body, {"picture", "name", *LEARN_GROUPS})
    name = body.get("name")
    if not isinstance(name, str) or not 1 <= len(name) <= LONGEST_NAME:
        raise OptionError(f"the new style needs a name of 1 to {LONGEST_NAME} characters.")
    picture = _upload(body.get("picture"), "picture", path_of=uploads.pictures)
    task: dict[str, Any] = {"kind": "learn", "picture": str(picture), "name": name}
    for group, cls in LEARN_GROUPS.items():
        from_dict(cls, chosen := _group(body, group), where=group)
        task[group] = dict(chosen)
    return task


def sheet_task(body: Any, uploads: Uploads) -> dict[str, Any]:
    """A task `sheet` from a body with `content`, an id, and the `size` of each painting in pixels."""
    _check_keys(body, {"content", "size"})
    size = SizeOptions(size=body.get("size", 320)).size
    if not SHEET_PX[0] <= size <= SHEET_PX[1]:
        raise OptionError(f"size is {size}; it must be between {SHEET_PX[0]} and {SHEET_PX[1]}.")
    content = _upload(body.get("content"), "content", path_of=uploads.pictures)
    return {"kind": "sheet", "content": str(content), "size": size}


def _check_keys(body: Any, known: Collection[str]) -> None:
    if not isinstance(body, Mapping):
        raise OptionError("the request is not a JSON object.")
    unknown = sorted(set(body) - set(known))
    if unknown:
        raise OptionError(f"unknown keys: {', '.join(map(repr, unknown))}.")
    for group, name in FILE_OPTIONS:
        if isinstance(body.get(group), Mapping) and name in body[group]:
            raise OptionError(f"{group}.{name} cannot be set by clients.")


def _group(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    group = body.get(name, {})
    if not isinstance(group, Mapping):
        raise OptionError(f"{name} is {group!r}; a table is needed.")
    return group


def _style(style: Any, uploads: Uploads) -> dict[str, Any]:
    if not isinstance(style, Mapping) or set(style) - {*KINDS_OF_STYLE, "weight", "scale", "mask"}:
        raise OptionError("a style has a name, picture or saved style, and optionally weight, scale and mask.")
    given = [key for key in KINDS_OF_STYLE if key in style]
    if len(given) != 1:
        raise OptionError(f"a style has {len(given)} of name, picture and saved; exactly one is needed.")
    if given == ["name"]:
        if not isinstance(style["name"], str) or style["name"] not in uploads.sources:
            raise OptionError("there is no style of this name.")
        source = uploads.sources[style["name"]]
    else:
        (kind,) = given
        source = str(_upload(style[kind], "style", path_of=uploads.saved if kind == "saved" else uploads.pictures))
    row = {"source": source} | {key: style[key] for key in ("weight", "scale") if key in style}
    mask = style.get("mask")
    if mask is not None:
        row["mask"] = str(REST if mask == str(REST) else _upload(mask, "mask", path_of=uploads.pictures))
    return row


def _upload(id: Any, what: str, *, path_of: PathOf) -> Path:
    try:
        if not isinstance(id, str):
            raise KeyError(id)
        return path_of(id)
    except KeyError:
        raise OptionError(f"the {what} was not uploaded, or is no longer stored. Upload it again.") from None


def form() -> dict[str, Any]:
    """All options that clients may set, by group: of paintings, additionally of films, and of training a style.

    `methods` lists the groups that each method reads.
    """
    hints = {field.name: hint for field, hint in annotated_fields(Job) if field.name in GROUPS}
    return {
        "groups": _groups(hints),
        "film": _groups(FILM_GROUPS),
        "learn": _groups(LEARN_GROUPS),
        "methods": {name: list(method.groups) for name, method in METHODS.items()},
    }


def _groups(classes: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"group": group, "about": (cls.__doc__ or "").strip(), "options": list(_inputs(group, cls))}
        for group, cls in classes.items()
    ]


def _inputs(group: str, cls: type) -> Iterator[dict[str, Any]]:
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
