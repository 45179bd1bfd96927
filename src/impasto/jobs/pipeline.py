"""Reading, painting and writing, overlapped: one picture is painted while the next is read and the last is written."""

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

WAITING = 1  # pictures that are painted and not yet being written


@dataclass(frozen=True)
class Stages(Generic[Item, Opened, Painted]):
    """What is done with each item. `open` runs in a thread of its own, `write` and `failed` in another one.

    `paint` gets what `open` gave, and `write` what `paint` gave. An exception of any of the three goes to `failed`; one
    that `failed` raises ends the work.
    """

    open: Callable[[Item], Opened]
    paint: Callable[[Item, Opened], Painted]
    write: Callable[[Item, Painted], object]
    failed: Callable[[Item, Exception], object]


def pipelined(
    items: Iterable[Item], stages: Stages[Item, Opened, Painted], *, overlapped: bool = True
) -> Generator[Item, None, None]:
    """Do the items in their order; yields each when it is painted, or has failed before.

    All that is painted is written when the iterator ends or is closed. Unless `overlapped`, each item is opened when
    the one before is painted.
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
