from __future__ import annotations

import threading

import pytest

from impasto.jobs.pipeline import Stages, pipelined

WAIT_S = 20.0


def test_the_next_is_read_and_the_last_is_written_while_one_is_painted() -> None:
    reading, writing = [threading.Event() for _ in range(4)], [threading.Event() for _ in range(4)]
    met: list[str] = []

    def open_(item: int) -> str:
        reading[item].set()
        return f"opened {item}"

    def paint(item: int, opened: str) -> str:
        assert opened == f"opened {item}"
        if item < 3 and reading[item + 1].wait(WAIT_S):
            met.append("read")
        if item and writing[item - 1].wait(WAIT_S):
            met.append("written")
        return f"painted {item}"

    def write(item: int, painted: str) -> None:
        assert painted == f"painted {item}"
        writing[item].set()

    assert list(pipelined(range(4), Stages(open_, paint, write, pytest.fail))) == [0, 1, 2, 3]
    assert met.count("read") == 3
    assert met.count("written") == 3


def test_failures_are_reported_in_order_and_the_rest_goes_on() -> None:
    seen: list[str] = []

    def fails(stage: str, at: int) -> object:
        def run(item: int, *_: object) -> int:
            if item == at:
                raise ValueError(stage)
            if stage == "write":
                seen.append(f"{item} written")
            return item

        return run

    stages = Stages(
        fails("open", 1), fails("paint", 2), fails("write", 3), lambda item, error: seen.append(f"{item} {error}")
    )  # type: ignore[arg-type]
    assert list(pipelined(range(5), stages)) == list(range(5))
    assert seen == ["0 written", "1 open", "2 paint", "3 write", "4 written"]


def test_a_failure_may_end_the_work() -> None:
    def failed(item: int, error: Exception) -> None:
        raise error

    stages = Stages(lambda item: 1 // item, lambda item, opened: item, lambda item, painted: None, failed)
    with pytest.raises(ZeroDivisionError):
        list(pipelined(range(100), stages))


@pytest.mark.parametrize("overlapped", [True, False])
def test_what_is_painted_is_written_when_work_is_stopped(overlapped: bool) -> None:
    written: list[int] = []
    stages = Stages(
        lambda item: item, lambda item, opened: item, lambda item, painted: written.append(item), pytest.fail
    )
    work = pipelined(range(100), stages, overlapped=overlapped)
    assert [next(work), next(work)] == [0, 1]
    work.close()
    assert written == [0, 1]
