"""The ledger of a batch: the outcomes of its tasks, by shard, in a hidden folder of the outputs."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import filelock

from impasto.core.errors import BatchError, StateError
from impasto.jobs.stores import STATE, Store
from impasto.jobs.tasks import DONE, MixOfStyles, Outcome
from impasto.session.recipe import differing

FOLDER, RECIPES, LOCK = f"{STATE}/done", f"{STATE}/recipes.json", f"{STATE}/lock"
EVERY_S = 1.0
"""Least time between two writes of a shard's file: at most this much work is repeated after a power cut."""


class ShardLedger:
    """The outcomes of one shard in one file, written by one process; `again` reads an existing file."""

    def __init__(self, store: Store, name: str, *, again: bool = False) -> None:
        self._store, self._name, self._written = store, f"{FOLDER}/{name}.jsonl", 0.0
        self.outcomes = _outcomes(store.read(self._name)) if again else []

    def add(self, outcomes: Sequence[Outcome], *, last: bool) -> None:
        """Add outcomes; the file is written at most once a second, and with the `last` ones."""
        self.outcomes.extend(outcomes)
        if last or time.monotonic() - self._written >= EVERY_S:
            self.write()

    def write(self) -> None:
        """Write the whole file."""
        self._store.write(self._name, "".join(f"{each.line()}\n" for each in self.outcomes).encode())
        self._written = time.monotonic()


def read_ledger(store: Store) -> list[Outcome]:
    """The outcome of every picture: the successful one if there is one, else the last."""
    known: dict[tuple[str, str], Outcome] = {}
    for name in store.names(FOLDER):
        for outcome in _outcomes(store.read(f"{FOLDER}/{name}")):
            if known.get(outcome.identity) is None or known[outcome.identity].state != DONE:
                known[outcome.identity] = outcome
    return list(known.values())


def _outcomes(data: bytes | None) -> list[Outcome]:
    outcomes = []
    for line in (data or b"").decode("utf-8", "replace").splitlines():
        with contextlib.suppress(ValueError, TypeError):  # a damaged line: its picture is repeated
            outcomes.append(Outcome.of_line(line))
    return outcomes


def named_mixes(store: Store, mixes: Mapping[str, MixOfStyles], *, beside: bool) -> dict[str, MixOfStyles]:
    """The mixes by names that differ from those of earlier mixes in the same outputs.

    A name that belongs to another recipe is numbered if `beside`; else `StateError` lists the differences.
    """
    before, named = _recipes(store), dict[str, MixOfStyles]()
    for name, mix in mixes.items():
        free, number = name, 1
        while free in named or (free in before and before[free]["digest"] != mix.digest):
            if free in before and not beside:
                changed = ", ".join(differing(before[free]["recipe"], dict(mix.recipe))) or "its files"
                raise StateError(
                    f"{store.text} holds pictures of {name} that were painted with other options ({changed}). Add "
                    "`beside` to write beside them, or name another folder."
                )
            number += 1
            free = f"{name}-{number}"
        named[free] = mix
    rows = {name: {"digest": mix.digest, "recipe": mix.recipe} for name, mix in named.items()}
    store.write(RECIPES, json.dumps(before | rows, indent=1).encode())
    return named


def _recipes(store: Store) -> dict[str, Any]:
    data = store.read(RECIPES)
    try:
        recipes = {} if data is None else json.loads(data)
        return {name: {"digest": str(row["digest"]), "recipe": row["recipe"]} for name, row in recipes.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StateError(f"{store.text}/{RECIPES} is damaged ({error}). Delete it, or name another folder.") from error


@contextlib.contextmanager
def locked(store: Store) -> Iterator[None]:
    """Lock a local folder for one driver; `BatchError` for a second one."""
    if store.local is None:
        yield
        return
    place = store.local / LOCK
    lock = filelock.FileLock(place, blocking=False)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except filelock.Timeout as error:
        raise BatchError(f"another batch paints into {store.text} now. Wait, or name another folder.") from error
    except OSError as error:
        raise BatchError(f"{error.filename} cannot be written ({error.strerror}). Name another folder.") from error
    try:
        yield
    finally:
        lock.release()
