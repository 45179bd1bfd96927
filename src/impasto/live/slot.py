"""A buffer of one item between two threads: a newer item replaces one that was not taken."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Closed(Exception):
    """The slot is closed and empty."""


class Slot(Generic[Item]):
    """`put` never waits; `dropped` counts the items that were replaced before they were taken."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._items: list[Item] = []
        self._closed = False
        self._error: BaseException | None = None
        self.dropped = 0

    def put(self, item: Item) -> None:
        """Offer the newest item."""
        with self._changed:
            self.dropped += len(self._items)
            self._items = [item]
            self._changed.notify_all()

    def take(self, timeout_s: float | None = None) -> Item | None:
        """The newest item; None if none arrived within the time.

        Raises `Closed` at the end, or the error that ended the other thread.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._closed, timeout_s)
            if self._items:
                return self._items.pop()
            if self._error is not None:
                raise self._error
            if self._closed:
                raise Closed
            return None

    def close(self, error: BaseException | None = None) -> None:
        """No more items follow, because of `error` if there is one. The item in the slot can still be taken."""
        with self._changed:
            self._closed, self._error = True, self._error or error
            self._changed.notify_all()
