"""An iterator that computes its items ahead, in a thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")
POLL_S = 0.1


@dataclass(frozen=True)
class _Failed:
    error: BaseException


class _End:
    pass


class Ahead(Generic[Item]):
    """Yields the items of `source`, computed in a thread, with at most `depth` of them queued.

    An exception in the thread is raised here, after the items before it. `close`, or the end of the `with` block, stops
    the thread, closes `source` (a generator's `finally` runs in the thread) and waits for the thread to end.
    """

    def __init__(self, source: Iterable[Item], *, depth: int = 2) -> None:
        self._items: queue.Queue[Item | _Failed | _End] = queue.Queue(maxsize=depth)
        self._stopping, self._over = threading.Event(), False
        self._thread = threading.Thread(target=self._work, args=(source,), daemon=True)
        self._thread.start()

    def _work(self, source: Iterable[Item]) -> None:
        last: _Failed | _End = _End()
        try:
            for item in source:
                if not self._put(item):
                    break
        except BaseException as error:
            last = _Failed(error)
        finally:
            if (close := getattr(source, "close", None)) is not None:
                close()
            self._put(last)

    def _put(self, item: Item | _Failed | _End) -> bool:
        while not self._stopping.is_set():
            try:
                self._items.put(item, timeout=POLL_S)
                return True
            except queue.Full:
                continue
        return False

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        if self._over:
            raise StopIteration
        item = self._items.get()
        if isinstance(item, _End | _Failed):
            self._over = True
            self._thread.join()
            if isinstance(item, _Failed):
                raise item.error
            raise StopIteration
        return item

    def close(self) -> None:
        """Stop the thread and wait for its end."""
        self._stopping.set()
        self._over = True
        self._thread.join()

    def __enter__(self) -> Ahead[Item]:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
