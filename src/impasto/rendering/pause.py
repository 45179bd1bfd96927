"""A painting that was stopped, on disk, to go on from exactly."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch

from impasto.core.errors import StateError
from impasto.core.paths import written_whole
from impasto.rendering.recipe import Recipe
from impasto.stylizers.optimised import Paused


def path_for(output: Path) -> Path:
    """Where the state of a stopped painting lies, beside its output."""
    return output.with_name(output.name + ".paused")


def keep(paused: Paused, recipe: Recipe, path: Path) -> None:
    """Write the state with the recipe it belongs to, whole or not at all."""
    with written_whole(path) as temporary:
        torch.save({"recipe": recipe.to_json(), "paused": paused.to_dict()}, temporary)


def kept(path: Path, recipe: Recipe) -> Paused:
    """The state in `path`. Raises `StateError` where there is none, or it belongs to another job."""
    if not path.is_file():
        raise StateError(f"{path} is not there: nothing was stopped. Leave --resume out to begin.")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
        text, paused = found["recipe"], found["paused"]
    except (RuntimeError, KeyError, TypeError, EOFError, OSError, pickle.UnpicklingError) as error:
        raise StateError(f"{path} is damaged ({error}). Delete it and begin again.") from error
    if text != recipe.to_json():
        raise StateError(f"{path} is of another job: its options or inputs differ. Give the same ones, or delete it.")
    return Paused(paused["scale"], paused["step"], paused["state"])
