"""The recipe of an output: what made it, so that it can be made again."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

import impasto
from impasto.config.job import Job
from impasto.core.errors import StateError
from impasto.core.options import from_dict
from impasto.core.paths import sha256_of
from impasto.encoders.table import Encoder

KEY = "impasto"  # name of the note in a picture's metadata


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A job and the circumstances that decide its result.

    `inputs` maps each input file to its sha256; paths in `job` and `inputs` are relative to the output's folder.
    """

    job: Job
    inputs: Mapping[str, str]
    weights: Mapping[str, str]
    made_with: Mapping[str, Any]

    def to_json(self) -> str:
        """One line; no date, so that the same job gives the same file."""
        return json.dumps(
            {
                "job": self.job.to_dict(),
                "inputs": dict(self.inputs),
                "weights": dict(self.weights),
                "made_with": dict(self.made_with),
            },
            ensure_ascii=False,
            separators=(",", ":"),
        )

    @classmethod
    def from_json(cls, text: str, where: str) -> Recipe:
        """The recipe in a note or sidecar; `StateError` where it is none."""
        try:
            data = json.loads(text)
            job = from_dict(Job, data["job"], "recipe")
            return cls(job, data["inputs"], data["weights"], data["made_with"])
        except (ValueError, KeyError, TypeError) as error:
            raise StateError(f"the recipe in {where} cannot be read ({error}).") from error


def of(job: Job, encoder: Encoder, *, folder: Path) -> Recipe:
    """The recipe for an output in `folder`."""
    relative = _moved(job, lambda name: os.path.relpath(Path(name).resolve(), folder.resolve()))
    inputs = {there: sha256_of(Path(here)) for here, there in zip(_files(job), _files(relative), strict=True)}
    return Recipe(relative, inputs, {encoder.name: encoder.sha256}, made_with(encoder))


def made_with(encoder: Encoder) -> dict[str, Any]:
    """Versions and the circumstances that change the last bits of a result."""
    return {
        "impasto": impasto.__version__,
        "torch": torch.__version__,
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "arithmetic": str(encoder.dtype).removeprefix("torch."),
    }


def job_again(recipe: Recipe, *, folder: Path) -> Job:
    """The job of a recipe that was found in `folder`, its inputs checked to be the same files.

    Raises `StateError` naming every input that is missing or has changed.
    """
    changed = []
    for name, digest in recipe.inputs.items():
        path = folder / name
        if not path.is_file():
            changed.append(f"{path} is missing")
        elif sha256_of(path) != digest:
            changed.append(f"{path} has changed")
    if changed:
        raise StateError(f"the recipe's inputs are not what they were: {'; '.join(changed)}.")
    return _moved(recipe.job, lambda name: os.path.normpath(folder / name))


def _files(job: Job) -> list[str]:
    masks = [str(style.mask) for style in job.styles if style.mask is not None]
    start = [str(job.optimise.init_picture)] if job.optimise.init_picture is not None else []
    encoder = [job.losses.encoder] if _is_file(job.losses.encoder) else []
    return [job.content, *(style.source for style in job.styles), *masks, *start, *encoder]


def _moved(job: Job, path: Any) -> Job:
    """The job with `path` applied to every file name in it."""
    styles = tuple(
        dataclasses.replace(
            style, source=path(style.source), mask=None if style.mask is None else Path(path(str(style.mask)))
        )
        for style in job.styles
    )
    start = job.optimise.init_picture
    optimise = dataclasses.replace(job.optimise, init_picture=None if start is None else Path(path(str(start))))
    encoder = path(job.losses.encoder) if _is_file(job.losses.encoder) else job.losses.encoder
    losses = dataclasses.replace(job.losses, encoder=encoder)
    return dataclasses.replace(job, content=path(job.content), styles=styles, optimise=optimise, losses=losses)


def _is_file(encoder: str) -> bool:
    return "/" in encoder or os.sep in encoder or encoder.endswith((".safetensors", ".pth", ".pt"))
