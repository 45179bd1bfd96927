"""The recipe of an output: everything that is needed to reproduce it."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

import impasto
from impasto.config.console import ConsoleOptions
from impasto.config.job import Job
from impasto.config.pictures import OutputOptions
from impasto.core.errors import OptionError, StateError
from impasto.core.options import changed_options, from_dict
from impasto.core.paths import sha256_of
from impasto.methods.protocol import LoadedMethod
from impasto.methods.table import METHODS, own_groups
from impasto.session.device import painting_device
from impasto.session.plan import Plan, as_path
from impasto.session.request import with_given
from impasto.styles.text import SIGN, is_weight_file

KEY = "impasto"  # name of the note in a picture's metadata
WRITTEN = ("bits", "quality", "strip")  # options that change the file


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A job and the circumstances that decide its result.

    The job's method is explicit, so that later changes of defaults do not affect `redo`.
    `inputs` maps each input file to its sha256; paths in `job` and `inputs` are relative to the output's folder.
    """

    job: Job
    inputs: Mapping[str, str]
    weights: Mapping[str, str]
    made_with: Mapping[str, Any]

    def to_json(self) -> str:
        """One line of JSON; without a date, so that equal jobs give equal files."""
        text = json.dumps(self.to_dict(), ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-8", "backslashreplace").decode()  # names that are not UTF-8 become JSON escapes

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; of the job's groups those that its method reads."""
        return {
            "job": own_groups(self.job.to_dict(), self.job.paint.method),
            "inputs": dict(self.inputs),
            "weights": dict(self.weights),
            "made_with": dict(self.made_with),
        }

    @classmethod
    def from_json(cls, text: str, where: str) -> Recipe:
        """The recipe in a note or sidecar; `StateError` where it is none."""
        try:
            data = json.loads(text)
            job = from_dict(Job, _of_today(data["job"]), where="recipe")
            inputs = _texts(data["inputs"])
            _check_masks(job, inputs)
            return cls(job, inputs, _texts(data["weights"]), _circumstances(data["made_with"]))
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

        names = _renamed(self.job, self.inputs, path=lambda name: relative_to(new, old / name))
        inputs = {names[name]: digest for name, digest in self.inputs.items()}
        return dataclasses.replace(self, job=_with_files(self.job, names), inputs=inputs)

    def with_content(self, name: str) -> Recipe:
        """The recipe with another name of the content, for jobs that read a temporary copy."""
        old = self.job.content
        inputs = {name if each == old else each: digest for each, digest in self.inputs.items()}
        return dataclasses.replace(self, job=dataclasses.replace(self.job, content=name), inputs=inputs)

    def written_with(self, options: OutputOptions) -> Recipe:
        """The recipe of a file written with `options`, where they are not the default."""
        changed = {name: getattr(options, name) for name in WRITTEN if name in changed_options(options)}
        return dataclasses.replace(self, made_with={**self.painted_with, **changed})

    @property
    def painted_with(self) -> dict[str, Any]:
        """The circumstances of painting, without the options of the file."""
        return {name: value for name, value in self.made_with.items() if name not in WRITTEN}

    def output_options(self, given: OutputOptions) -> OutputOptions:
        """The options to write the file again: those `given` that are not the default, else as it was written.

        Raises `OptionError` if the recipe has other values than an option can have.
        """
        written = {name: self.made_with[name] for name in WRITTEN if name in self.made_with}
        return with_given(given, **{n: v for n, v in written.items() if n not in changed_options(given)})

    def differences(self, other: Recipe) -> list[str]:
        """Dotted names of what differs between two recipes: `job.optimise.seed`."""
        return differing(json.loads(self.to_json()), json.loads(other.to_json()))


def recipe_for(plan: Plan, loaded: LoadedMethod, *, folder: Path) -> Recipe:
    """The recipe of an output in `folder`. Reads every input whole, for its digest.

    The device is a circumstance, not an option: the same job may be painted again on another one.
    """
    names = _renamed(plan.job, plan.files, path=lambda name: relative_to(folder, Path(os.path.expanduser(name))))
    inputs = {names[name]: sha256_of(Path(os.path.expanduser(name))) for name in plan.files}
    device = painting_device(plan.job.paint.device)
    job = dataclasses.replace(plan.job, paint=dataclasses.replace(plan.job.paint, device="auto"))
    return Recipe(_with_files(job, names), inputs, dict(loaded.weights), made_with(loaded, device))


def made_with(loaded: LoadedMethod, device: torch.device) -> dict[str, Any]:
    """Versions and the circumstances that change the last bits of a result."""
    return {
        "impasto": impasto.__version__,
        "torch": torch.__version__,
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "arithmetic": str(loaded.dtype).removeprefix("torch."),
        "device": device.type,
    }


def job_again(
    recipe: Recipe, *, folder: Path, content: str | Path | None = None, styles: Sequence[str | Path] = ()
) -> Job:
    """The job of a recipe that was found in `folder`, its inputs checked to be the same files.

    `content` and `styles`, in the recipe's order, are where these files are now, if they have moved.
    Raises `StateError` naming every input that is missing or has changed.
    """
    folder = folder.resolve()  # as when the paths were made relative: ".." of a link is not that of its target
    changed = []
    paths = {name: os.path.normpath(folder / name) for name in recipe.inputs}
    paths |= _moved_inputs(recipe, content=content, styles=styles)
    for name, digest in recipe.inputs.items():
        path = Path(paths[name])
        if not path.exists():
            changed.append(f"{path} is missing")
        elif sha256_of(path) != digest:
            changed.append(f"{path} has changed")
    if changed:
        raise StateError(f"the recipe's inputs have changed: {'; '.join(changed)}.")
    names = _renamed(recipe.job, recipe.inputs, path=lambda name: paths.get(name, os.path.normpath(folder / name)))
    return _with_files(recipe.job, names)


def with_absolute_files(plan: Plan) -> Job:
    """The plan's job for a process in another folder."""
    return _with_files(
        plan.job, _renamed(plan.job, plan.files, path=lambda name: os.path.abspath(os.path.expanduser(name)))
    )


def _moved_inputs(recipe: Recipe, *, content: str | Path | None, styles: Sequence[str | Path]) -> dict[str, str]:
    """Where the inputs are now, by their names in the recipe."""
    sources = [style.source for style in recipe.job.styles]
    in_files = [text if text in recipe.inputs else text.rpartition(SIGN)[0] for text in sources]
    if styles and len(styles) != len(sources):
        raise OptionError(f"{len(styles)} styles are given, and the recipe has {len(sources)}. Give each, in order.")
    moved = {name: str(path) for name, path in zip(in_files, styles or in_files, strict=True) if styles}
    return moved if content is None else {**moved, recipe.job.content: str(content)}


def relative_to(folder: Path, path: Path) -> str:
    """`path` relative to `folder`, links resolved; absolute if they are on different drives."""
    try:
        return os.path.relpath(path.resolve(), folder.resolve())
    except ValueError:
        return str(path.resolve())


def _renamed(job: Job, files: Collection[str], *, path: Callable[[str], str]) -> dict[str, str]:
    """The new name of each of the job's `files`; names of weights still look like a path."""
    weights = METHODS[job.paint.method].weights_of(job, ())
    names = {name: as_path(path(name)) if name in weights else path(name) for name in files}
    start = job.optimise.init_picture
    if start is not None and str(start) not in names:  # it is not an input where the job does not begin with it
        names[str(start)] = path(str(start))
    return names


def _with_files(job: Job, names: Mapping[str, str]) -> Job:
    """The job with its files renamed; styles and weights without a file stay unchanged."""

    def source(text: str) -> str:
        if text in names:
            return names[text] if is_weight_file(text) or job.paint.method != "fast" else text
        network, sign, style = text.rpartition(SIGN)
        return f"{names[network]}{sign}{style}" if network in names and is_weight_file(network) else text

    styles = tuple(
        dataclasses.replace(
            style,
            source=source(style.source),
            mask=style.mask if style.mask_file is None else Path(names[str(style.mask_file)]),
        )
        for style in job.styles
    )
    start = job.optimise.init_picture
    optimise = dataclasses.replace(job.optimise, init_picture=None if start is None else Path(names[str(start)]))
    job = dataclasses.replace(job, content=names.get(job.content, job.content), styles=styles, optimise=optimise)
    method = METHODS[job.paint.method]
    for weights in method.weights_of(job, ()):
        job = method.with_weights(job, names.get(weights, weights))
    return job


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
    if "memory_gb" in job.get("fast", {}):  # once of one pass only
        job["fast"] = dict(job["fast"])
        job["paint"].setdefault("memory_gb", job["fast"].pop("memory_gb"))
    if "arbitrary" in job:  # large pictures are painted by strips since; tiles changed nothing but the memory
        job["arbitrary"] = {name: value for name, value in job["arbitrary"].items() if name != "tile_px"}
    return job


def _texts(values: Any) -> dict[str, str]:
    if not (isinstance(values, dict) and all(isinstance(value, str) for value in values.values())):
        raise TypeError(f"{values!r} is not a table of strings")
    return values


def _check_masks(job: Job, inputs: Collection[str]) -> None:
    for style in job.styles:
        if style.mask_file is not None and str(style.mask_file) not in inputs:
            raise ValueError(f"the mask {style.mask_file} is not among its inputs")


def _circumstances(values: Any) -> dict[str, Any]:
    threads = values.get("threads")
    if not isinstance(threads, int) or isinstance(threads, bool):
        raise TypeError(f"threads is {threads!r}")
    ConsoleOptions(threads=threads)
    return dict(values)


def differing(one: Any, other: Any, *, where: str = "") -> list[str]:
    """Dotted names of what differs between two trees of plain values."""
    if isinstance(one, dict) and isinstance(other, dict):
        pairs = {name: (one.get(name), other.get(name)) for name in {**one, **other}}
        return [name for key, (a, b) in pairs.items() for name in differing(a, b, where=f"{where}.{key}".lstrip("."))]
    return [] if one == other else [where]
