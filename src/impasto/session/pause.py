"""The saved state of a painting that was stopped, on disk, for exact resumption."""

from __future__ import annotations

from pathlib import Path

import torch

from impasto.core.errors import StateError
from impasto.core.paths import written_whole
from impasto.session.recipe import Recipe
from impasto.stylizers.optimised import Paused


def path_for(output: Path) -> Path:
    """The path of the saved state of a stopped painting."""
    return output.with_name(output.name + ".paused")


def save_state(paused: Paused, recipe: Recipe, *, path: Path) -> None:
    """Write the state with the recipe it belongs to, whole or not at all."""
    with written_whole(path) as temporary:
        torch.save({"recipe": recipe.to_json(), "paused": paused.to_dict()}, temporary)


def load_state(path: Path, recipe: Recipe) -> Paused:
    """The state in `path`. Raises `StateError` if there is none, or it belongs to another job."""
    of, state = _read(path)
    if differing := of.differences(recipe):
        names = ", ".join(differing[:5]) + (", …" if len(differing) > 5 else "")
        raise StateError(f"{path} is of another job: {names} differ. Give the same options and inputs, or delete it.")
    return state


def paused_recipe(path: Path) -> Recipe:
    """The recipe of the state in `path`. Raises `StateError` if there is none."""
    return _read(path)[0]


def _read(path: Path) -> tuple[Recipe, Paused]:
    if not path.is_file():
        raise StateError(f"{path} does not exist: nothing was stopped. Leave `resume` out.")
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
        paused = stored["paused"]
        state = Paused(paused["scale"], paused["step"], paused["state"], paused["begin"])
        _check(state)
        return Recipe.from_json(stored["recipe"], str(path)), state
    except Exception as error:  # torch raises many kinds for other files
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise StateError(f"{path} is damaged ({reason}). Delete it and start again.") from error


def _check(paused: Paused) -> None:
    """Raise `TypeError` for a state that no painting leaves; its optimiser's part is checked where it is restored."""
    counts = (paused.scale, paused.step)
    if not all(isinstance(count, int) and not isinstance(count, bool) and count >= 0 for count in counts):
        raise TypeError(f"scale and step are {counts}")
    if not isinstance(paused.state, dict) or not isinstance(paused.begin, torch.Tensor | None):
        raise TypeError("the optimiser's state or the first canvas has another type")
