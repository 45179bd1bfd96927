from __future__ import annotations

import os
import random
import signal
from collections import Counter
from pathlib import Path

import pytest
from workers import pretend, spec, stillborn, tasks

from impasto.core.errors import BatchError, OptionError
from impasto.jobs.pool import Pool
from impasto.jobs.slots import WorkerSlot
from impasto.jobs.tasks import DONE, Outcome


def pool(workers: int = 2, **options: object) -> Pool:
    return Pool(spec(), [WorkerSlot(1)] * workers, **{"target": pretend, **options})  # type: ignore[arg-type]


def by_key(outcomes: list[Outcome]) -> dict[str, Outcome]:
    assert max(Counter(each.key for each in outcomes).values()) == 1
    return {each.key: each for each in outcomes}


def test_a_bad_picture_is_put_aside_and_the_rest_goes_on() -> None:
    names = ["a", "fail", "b", "die", "c", "d", "e"]
    ends = by_key(list(pool().run(tasks(*names))))
    assert ends.keys() == set(names)
    assert {name for name, each in ends.items() if each.state == DONE} == set("abcde")
    assert (ends["fail"].attempts, ends["fail"].error) == (3, "no picture")
    assert ends["die"].attempts == 3
    assert "its process ended unexpectedly (exit code 9)" in ends["die"].error
    assert {ends[name].attempts for name in "abcde"} == {1}  # those that it took with it are not blamed
    assert ends["a"].seconds == {"painting": 0.5}


def test_a_picture_that_takes_too_long_is_put_aside() -> None:
    ends = by_key(list(pool(1, timeout_s=0.5).run(tasks("slow", "a", "b"))))
    assert ends["slow"].error == "it took longer than 0.5 s."
    assert [ends[name].state for name in "ab"] == [DONE, DONE]


def test_an_error_of_all_pictures_ends_the_batch() -> None:
    running = pool(1)
    with pytest.raises(OptionError, match="`size` is wrong"):
        list(running.run(tasks("a", "wrong", "b")))
    assert running.pids == []


def test_processes_that_do_not_start_end_the_batch() -> None:
    with pytest.raises(BatchError, match="ended before they began"):
        list(pool(1, target=stillborn).run(tasks("a")))


def test_nothing_is_lost_when_workers_are_killed(tmp_path: Path) -> None:
    chance, names = random.Random(1), [f"p{number}" for number in range(60)]
    running = Pool(spec(tmp_path), [WorkerSlot(1)] * 2, target=pretend)
    outcomes = []
    for outcome in running.run(tasks(*names)):
        outcomes.append(outcome)
        if len(outcomes) in (5, 20, 40):
            os.kill(chance.choice(running.pids), signal.SIGKILL)
    assert {name for name, each in by_key(outcomes).items() if each.state == DONE} == set(names)
    assert len(list(tmp_path.iterdir())) == len(names)
