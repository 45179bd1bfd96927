"""Overlapped reading, painting and writing: one picture is painted while the next is read and the last is written."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from impasto.video.ahead import Ahead

Item = TypeVar("Item")
Opened = TypeVar("Opened")
Painted = TypeVar("Painted")

WAITING = 1  # painted pictures that wait for the writer


@dataclass(frozen=True)
class Stages(Generic[Item, Opened, Painted]):
    """The stages of each item. `open` runs in one thread, `write` and `failed` in another.

    `paint` gets the result of `open`, and `write` that of `paint`. An exception in any of the three goes to `failed`;
    an exception in `failed` ends the pipeline.
    """

    open: Callable[[Item], Opened]
    paint: Callable[[Item, Opened], Painted]
    write: Callable[[Item, Painted], object]
    failed: Callable[[Item, Exception], object]


def pipelined(
    items: Iterable[Item], stages: Stages[Item, Opened, Painted], *, overlapped: bool = True
) -> Generator[Item, None, None]:
    """Process the items in order; yields each once it is painted or has failed.

    Painted items are written before the iterator ends or closes. Unless `overlapped`, an item is opened only after the
    previous one is painted.
    """
    with contextlib.ExitStack() as undo:
        writer = undo.enter_context(ThreadPoolExecutor(1))
        pending: deque[Future[None]] = deque()
        opened_items = _opened(items, stages)
        for item, opened in undo.enter_context(Ahead(opened_items, depth=1)) if overlapped else opened_items:
            painted: Painted | _Error = _painted(stages, item, opened=opened)
            pending.append(writer.submit(_written, stages, item, painted=painted))
            del opened, painted
            while len(pending) > 1 + WAITING or (pending and pending[0].done()):
                pending.popleft().result()
            yield item
        for future in pending:
            future.result()


@dataclass(frozen=True)
class _Error:
    error: Exception


def _opened(items: Iterable[Item], stages: Stages[Item, Opened, Painted]) -> Iterator[tuple[Item, Opened | _Error]]:
    for item in items:
        try:
            result: Opened | _Error = stages.open(item)
        except Exception as error:
            result = _Error(error)
        yield item, result
        del result


def _painted(stages: Stages[Item, Opened, Painted], item: Item, *, opened: Opened | _Error) -> Painted | _Error:
    if isinstance(opened, _Error):
        return opened
    try:
        return stages.paint(item, opened)
    except Exception as error:
        return _Error(error)


def _written(stages: Stages[Item, Opened, Painted], item: Item, *, painted: Painted | _Error) -> None:
    if not isinstance(painted, _Error):
        try:
            stages.write(item, painted)
            return
        except Exception as error:
            painted = _Error(error)
    stages.failed(item, painted.error)
