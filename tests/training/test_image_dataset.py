"""Laws of pictures that are read when they are asked for, and of batches made ahead."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from impasto.core.errors import DataError
from impasto.training import image_dataset as module
from impasto.training.data import Bytes, Crops, PreparedBatches
from impasto.training.image_dataset import ImageDataset

LOTS, SIDE = 10**9, 24
ONE = SIDE * SIDE * 3  # bytes of a picture here


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Six square pictures of 30 px."""
    draw, found = np.random.default_rng(0), []
    for i in range(6):
        found.append(tmp_path / f"{i}.png")
        Image.fromarray(draw.integers(0, 256, (30, 30, 3), dtype=np.uint8)).save(found[-1])
    return found


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were read, each time."""
    seen: list[str] = []
    plain = module.small

    def small(path: Path, short_side_px: int) -> Bytes | str:
        seen.append(path.name)
        return plain(path, short_side_px)

    monkeypatch.setattr(module, "small", small)
    return seen


def shelf(paths: list[Path], memory_bytes: int = LOTS) -> ImageDataset:
    return ImageDataset(paths, short_side_px=SIDE, memory_bytes=memory_bytes)


def same(one: Bytes, other: Bytes) -> bool:
    return one.dtype == other.dtype and np.array_equal(one, other)


@pytest.mark.parametrize("room", [0, ONE - 1, ONE, 3 * ONE + 7, LOTS])
def test_memory_changes_nothing_but_how_often_is_read(room: int, paths: list[Path], reads: list[str]) -> None:
    found = shelf(paths, room)
    for _ in range(2):
        for i in (3, 0, 5, 1, 2, 4):
            assert found[i].shape == (SIDE, SIDE, 3)
            assert same(found[i], shelf(paths)[i])
            assert found.cached_bytes <= room
    reads.clear()
    list(found)
    assert found.cached_bytes == min(room // ONE, 6) * ONE
    assert len(reads) == 6 - min(room // ONE, 6)


def test_it_is_a_sequence(paths: list[Path]) -> None:
    found = shelf(paths)
    assert len(found) == 6
    assert len(list(islice(found, 20))) == 6  # a loop over it ends
    assert same(found[-1], found[5])
    assert [same(a, b) for a, b in zip(found[1:5:2], [found[1], found[3]], strict=True)] == [True, True]
    for index in (6, -7):
        with pytest.raises(IndexError):
            found[index]


def test_the_next_stands_in_for_what_cannot_be_read(paths: list[Path], reads: list[str]) -> None:
    whole = shelf(paths)
    for i in (1, 2, 5):
        paths[i].write_bytes(b"no picture")
    found = shelf(paths)
    for index, stands_in in {0: 0, 1: 3, 2: 3, 3: 3, 5: 0}.items():
        assert same(found[index], whole[stands_in])
    assert len(found) == 6
    assert all(name in line for name, line in zip(("1.png", "2.png", "5.png"), found.skipped, strict=True))
    reads.clear()
    list(found)
    assert not {"1.png", "2.png", "5.png"} & set(reads)  # not tried again


def test_what_is_seen_does_not_depend_on_the_order_of_reading(paths: list[Path]) -> None:
    paths[2].write_bytes(b"")
    one, other = shelf(paths, 2 * ONE), shelf(paths)
    backwards = {i: other[i] for i in reversed(range(6))}
    assert all(same(one[i], backwards[i]) for i in range(6))


def test_nothing_that_can_be_read(paths: list[Path]) -> None:
    for path in paths:
        path.write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"none of 6 pictures can be read; the first: .*0\.png"):
        shelf(paths)[4]
    with pytest.raises(DataError, match="no pictures to train on"):
        Crops(shelf([]), 2, 8, 0)


@pytest.mark.parametrize("room", [0, 2 * ONE, LOTS])
def test_many_threads(room: int, paths: list[Path]) -> None:
    paths[4].write_bytes(b"no picture")
    found, alone = shelf(paths, room), shelf(paths)
    expected = list(alone)
    start = threading.Barrier(4)

    def all_of_them(seed: int) -> bool:
        start.wait()
        order = np.random.default_rng(seed).permutation(np.repeat(np.arange(6), 3))
        return all(same(found[int(i)], expected[int(i)]) for i in order)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(all_of_them, range(4)))
    assert found.skipped == alone.skipped
    assert found.cached_bytes <= room


def crops(paths: list[Path], room: int) -> Crops:
    return Crops(shelf(paths, room), 3, 8, seed=4)


@pytest.mark.parametrize("depth", [0, 1, 3, 7])
@pytest.mark.parametrize("threads", [1, 3])
def test_batches_made_ahead_are_those_that_are_not(depth: int, threads: int, paths: list[Path]) -> None:
    plain = crops(paths, 0)
    with ThreadPoolExecutor(threads) as pool:
        ahead = PreparedBatches(crops(paths, 2 * ONE), pool, depth=depth)
        for step in (0, 1, 2, 3, 9, 10, 4, 5, 2**40, 6):  # with jumps, as when a run is resumed
            found, expected = ahead(step), plain(step)
            assert found.images.equal(expected.images)
            assert found.indices.equal(expected.indices)


def test_each_batch_is_made_once_and_no_more_than_depth_ahead() -> None:
    made: list[int] = []

    def batches(step: int) -> int:
        made.append(step)
        return step

    with ThreadPoolExecutor(1) as pool:
        ahead = PreparedBatches(batches, pool, depth=2)
        assert [ahead(step) for step in range(5)] == list(range(5))
    assert made == list(range(7))


def test_batches_are_made_while_another_is_looked_at() -> None:
    running = threading.Event()

    def batches(step: int) -> int:
        if step == 1:
            running.set()
        return step

    with ThreadPoolExecutor(1) as pool:
        assert PreparedBatches(batches, pool)(0) == 0
        assert running.wait(10)  # nobody has asked for step 1


def test_an_error_comes_at_the_step_that_it_is_of() -> None:
    def batches(step: int) -> int:
        time.sleep(0.001)
        if step == 2:
            raise DataError("gone")
        return step

    with ThreadPoolExecutor(2) as pool:
        ahead: Callable[[int], int] = PreparedBatches(batches, pool, depth=3)
        assert [ahead(0), ahead(1)] == [0, 1]
        with pytest.raises(DataError, match="gone"):
            ahead(2)
        assert ahead(3) == 3
