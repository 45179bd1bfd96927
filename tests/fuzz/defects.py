"""Defects that are planted to show that each campaign can fail."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import torch
from fuzz import targets

from impasto.core import options
from impasto.image import decoding
from impasto.session import painting, recipe
from impasto.training import checkpoints
from impasto.weights import containers


@contextlib.contextmanager
def _unguarded(path: Path) -> Iterator[tuple[IO[bytes], bytes]]:
    with path.open("rb") as file:
        start = file.read(32)
        file.seek(0)
        yield file, start


def raw_errors_of_decoders() -> None:
    decoding._opened = _unguarded  # type: ignore[assignment]


def loud_libtiff() -> None:
    decoding._silent_libtiff = contextlib.nullcontext  # type: ignore[assignment]


def raw_errors_of_safetensors() -> None:
    containers.SafetensorError = KeyError  # type: ignore[misc]


def recipes_taken_on_trust() -> None:
    def trusting(text: str, where: str) -> recipe.Recipe:
        data = json.loads(text)
        return recipe.Recipe(options.from_dict(targets.Job, data["job"]), data["inputs"], {}, data["made_with"])

    painting.recipe.Recipe.from_json = trusting  # type: ignore[assignment, method-assign]


def no_checksum() -> None:
    checkpoints._verify = lambda data: None


def unlimited_numbers() -> None:
    options._as_float = lambda value, where: float(value)


def _at_every_case(action: Callable[[], Any]) -> Callable[[], None]:
    """Let `action` happen whenever options are read."""

    def plant() -> None:
        before = targets._round_trip

        def then(cls: Any, values: Any) -> None:
            if len(values) > len(targets._required(cls)):  # intact values are left alone
                action()
            before(cls, values)

        targets._round_trip = then

    return plant


PLANTED: dict[str, Callable[[], None]] = {
    "raw errors of decoders": raw_errors_of_decoders,
    "loud libtiff": loud_libtiff,
    "raw errors of safetensors": raw_errors_of_safetensors,
    "recipes taken on trust": recipes_taken_on_trust,
    "no checksum": no_checksum,
    "unlimited numbers": unlimited_numbers,
    "hang": _at_every_case(lambda: time.sleep(60)),
    "memory": _at_every_case(lambda: torch.ones(100_000_000).sum()),
    "output": _at_every_case(lambda: os.write(2, b"libfoo: a remark\n")),
    "crash": _at_every_case(os.abort),
}
