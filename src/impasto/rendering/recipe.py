"""The recipe of an output: what made it, so that it can be made again."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

import impasto
from impasto.config.job import Job, StyleSource
from impasto.core.errors import OptionError, StateError
from impasto.core.options import from_dict
from impasto.core.paths import sha256_of
from impasto.rendering import families, learned
from impasto.rendering.families import Loaded
from impasto.weights.catalogue import WEIGHT_SUFFIXES

KEY = "impasto"  # name of the note in a picture's metadata


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A job and the circumstances that decide its result.

    The job's method is spelt out, so that a later default does not change what is made again.
    `inputs` maps each input file to its sha256; paths in `job` and `inputs` are relative to the output's folder.
    """

    job: Job
    inputs: Mapping[str, str]
    weights: Mapping[str, str]
    made_with: Mapping[str, Any]

    def to_json(self) -> str:
        """One line; no date, so that the same job gives the same file."""
        text = json.dumps(self.to_dict(), ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-8", "backslashreplace").decode()  # file names that are no UTF-8: as JSON's own escapes

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; of the job's groups those that its family looks at."""
        return {
            "job": families.own_groups(self.job.to_dict(), families.method_of(self.job)),
            "inputs": dict(self.inputs),
            "weights": dict(self.weights),
            "made_with": dict(self.made_with),
        }

    @classmethod
    def from_json(cls, text: str, where: str) -> Recipe:
        """The recipe in a note or sidecar; `StateError` where it is none."""
        try:
            data = json.loads(text)
            job = from_dict(Job, _of_today(data["job"]), "recipe")
            return cls(job, _texts(data["inputs"]), _texts(data["weights"]), _circumstances(data["made_with"]))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OptionError) as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise StateError(
                f"the recipe in {where} cannot be read ({reason}); it may be of a newer impasto."
            ) from error

    def moved(self, old: Path, new: Path) -> Recipe:
        """The same recipe for an output in the folder `new` instead of `old`."""
        old, new = old.resolve(), new.resolve()
        if old == new:
            return self

        def path(name: str) -> str:
            return relative_to(new, old / name)

        return dataclasses.replace(
            self, job=_moved(self.job, path), inputs={path(name): digest for name, digest in self.inputs.items()}
        )

    def differences(self, other: Recipe) -> list[str]:
        """Dotted names of what differs between two recipes: `job.optimise.seed`."""
        return _differing(json.loads(self.to_json()), json.loads(other.to_json()))


def of(job: Job, loaded: Loaded, *, folder: Path) -> Recipe:
    """The recipe for an output in `folder`."""
    job = _with_weights_path(families.checked(job))
    relative = _moved(job, lambda name: relative_to(folder, Path(name)))
    inputs = {there: sha256_of(Path(here)) for here, there in zip(_files(job), _files(relative), strict=True)}
    return Recipe(relative, inputs, dict(loaded.weights), made_with(loaded))


def made_with(loaded: Loaded) -> dict[str, Any]:
    """Versions and the circumstances that change the last bits of a result."""
    return {
        "impasto": impasto.__version__,
        "torch": torch.__version__,
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "arithmetic": str(loaded.dtype).removeprefix("torch."),
    }


def job_again(recipe: Recipe, *, folder: Path) -> Job:
    """The job of a recipe that was found in `folder`, its inputs checked to be the same files.

    Raises `StateError` naming every input that is missing or has changed.
    """
    folder = folder.resolve()  # as when the paths were made relative: ".." of a link is not that of its target
    changed = []
    for name, digest in recipe.inputs.items():
        path = Path(os.path.normpath(folder / name))
        if not path.is_file():
            changed.append(f"{path} is missing")
        elif sha256_of(path) != digest:
            changed.append(f"{path} has changed")
    if changed:
        raise StateError(f"the recipe's inputs are not what they were: {'; '.join(changed)}.")
    return _moved(recipe.job, lambda name: os.path.normpath(folder / name))


def relative_to(folder: Path, path: Path) -> str:
    """`path` as seen from `folder`, links resolved; whole where there is no way from one to the other (drives)."""
    try:
        found = os.path.relpath(path.resolve(), folder.resolve())
    except ValueError:
        return str(path.resolve())
    return found


def _files(job: Job) -> list[str]:
    """Every file that decides the result, as `gathered` reads them."""
    masks = [str(style.mask) for style in job.styles if style.mask is not None]
    init = job.optimise.init_picture
    start = [str(init)] if init is not None and job.optimise.init == "picture" else []
    weights = [] if _of_styles(job) else [name for name in families.weights_of(job) if _is_file(name)]
    styles = [_file_of(style, job) for style in job.styles if not _is_name(style, job)]
    return [job.content, *styles, *masks, *start, *weights]


def _of_styles(job: Job) -> bool:
    """Whether the styles are the weights."""
    return families.family_of(job).weights_at is None


def _is_name(style: StyleSource, job: Job) -> bool:
    """Whether a style is found by name, not by file."""
    return _of_styles(job) and not _is_file(_file_of(style, job))


def _file_of(style: StyleSource, job: Job) -> str:
    """The file that a style is in, or the name by which it is found."""
    return learned.split(style.source).network if _of_styles(job) else style.source


def _moved(job: Job, path: Callable[[str], str]) -> Job:
    """The job with `path` applied to every file name in it."""

    def source(style: StyleSource) -> str:
        if _is_name(style, job):
            return style.source
        return learned.moved(style.source, path) if _of_styles(job) else path(style.source)

    styles = tuple(
        dataclasses.replace(
            style,
            source=source(style),
            mask=None if style.mask is None else Path(path(str(style.mask))),
        )
        for style in job.styles
    )
    start = job.optimise.init_picture
    optimise = dataclasses.replace(job.optimise, init_picture=None if start is None else Path(path(str(start))))
    job = dataclasses.replace(job, content=path(job.content), styles=styles, optimise=optimise)
    if _of_styles(job):
        return job
    (weights,) = families.weights_of(job)
    return _with_weights(job, _as_file(path(weights))) if _is_file(weights) else job


def _with_weights_path(job: Job) -> Job:
    """The job with its weights written so that they look like a file where they are one (`catalogue.located`)."""
    if _of_styles(job):
        return job
    (name,) = families.weights_of(job)
    weights = os.path.expanduser(name)
    return _with_weights(job, _as_file(weights)) if os.path.isfile(weights) else job


def _with_weights(job: Job, weights: str) -> Job:
    at = families.family_of(job).weights_at
    assert at is not None
    group, name = at
    changed: dict[str, Any] = {group: dataclasses.replace(getattr(job, group), **{name: weights})}
    return dataclasses.replace(job, **changed)


def _as_file(weights: str) -> str:
    return weights if _is_file(weights) else os.path.join(os.curdir, weights)


def _is_file(weights: str) -> bool:
    return "/" in weights or os.sep in weights or weights.endswith(WEIGHT_SUFFIXES)


def _of_today(job: dict[str, Any]) -> dict[str, Any]:
    """The job of a recipe as it would be written now.

    A method that is left open is from when there was one only; recipes have spelt it out ever since. The precision was
    an option of that method's.
    """
    job = {**job, "paint": dict(job.get("paint", {})), "optimise": dict(job.get("optimise", {}))}
    if job["paint"].get("method", "auto") == "auto":
        job["paint"]["method"] = "optimise"
    if "precision" in job["optimise"]:
        job["paint"].setdefault("precision", job["optimise"].pop("precision"))
    if "arbitrary" in job:  # large pictures are painted by strips since; tiles changed nothing but the memory
        job["arbitrary"] = {name: value for name, value in job["arbitrary"].items() if name != "tile_px"}
    return job


def _texts(values: Any) -> dict[str, str]:
    if not (isinstance(values, dict) and all(isinstance(value, str) for value in values.values())):
        raise TypeError(f"{values!r} is no table of texts")
    return values


def _circumstances(values: Any) -> dict[str, Any]:
    threads = values.get("threads")
    if not isinstance(threads, int) or threads < 1:
        raise TypeError(f"threads is {threads!r}")
    return dict(values)


def _differing(one: Any, other: Any, where: str = "") -> list[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        pairs = {name: (one.get(name), other.get(name)) for name in {**one, **other}}
        return [name for key, (a, b) in pairs.items() for name in _differing(a, b, f"{where}.{key}".lstrip("."))]
    return [] if one == other else [where]
