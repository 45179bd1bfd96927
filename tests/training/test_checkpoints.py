"""Laws of checkpoints: exact resumption, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from regression import QUICK, Regression, every_optimizer, kept, run
from states import assert_equal

from impasto.core.errors import StateError
from impasto.training.checkpoints import averaged
from impasto.training.fit import begin, resolved, restore, save_checkpoint


@every_optimizer
@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("stop", [2, 5, 7, 12])
def test_stopped_and_resumed_is_the_same_bit_for_bit(stop: int, killed: bool, optimizer: str, tmp_path: Path) -> None:
    options = replace(QUICK, optimizer=optimizer)
    whole = run(Regression(), tmp_path / "whole", options)
    run(Regression(), tmp_path / "parts", options, stop_after=stop, killed=killed)
    torch.manual_seed(99)  # what the second process happens to begin with
    rest = run(Regression(), tmp_path / "parts", options)
    assert rest == whole[12 - len(rest) :]
    assert rest == [] if stop == 12 else rest[0].step == 1 + (stop // 5 * 5 if killed else stop)
    assert_equal(kept(tmp_path / "whole"), kept(tmp_path / "parts"))
    assert (tmp_path / "whole/log.jsonl").read_text() == (tmp_path / "parts/log.jsonl").read_text()


def test_resumed_twice(tmp_path: Path) -> None:
    run(Regression(), tmp_path / "whole")
    for stop in (6, 11, None):
        run(Regression(), tmp_path / "parts", stop_after=stop)
    assert_equal(kept(tmp_path / "whole"), kept(tmp_path / "parts"))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"learning_rate": 0.1}, "another learning_rate"),
        ({"steps": 11}, "trained for 12 steps; `steps` is 11"),
        ({"seed": 1, "optimizer": "sgd"}, "another optimizer, seed"),
    ],
)
def test_other_options_are_refused(other: dict[str, Any], message: str, tmp_path: Path) -> None:
    run(Regression(), tmp_path)
    with pytest.raises(StateError, match=message):
        run(Regression(), tmp_path, replace(QUICK, **other))


def test_how_often_is_written_may_change(tmp_path: Path) -> None:
    run(Regression(), tmp_path, stop_after=6)
    assert run(Regression(), tmp_path, replace(QUICK, log_every=3, checkpoint_every=1))[0].step == 7


def test_more_steps_go_on_where_fewer_ended(tmp_path: Path) -> None:
    constant = replace(QUICK, schedule="constant")
    whole = run(Regression(), tmp_path / "whole", replace(constant, steps=20))
    run(Regression(), tmp_path / "parts", constant)
    rest = run(Regression(), tmp_path / "parts", replace(constant, steps=20))
    assert rest == whole[12:]
    one, other = kept(tmp_path / "whole"), kept(tmp_path / "parts")
    assert_equal(one, other)


@pytest.mark.parametrize("native", [True, False])
def test_precision_follows_the_hardware(native: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("impasto.training.fit.has_bfloat16", lambda device: native)
    chosen, other = ("bfloat16", "float32") if native else ("float32", "bfloat16")
    auto = replace(QUICK, precision="auto")
    assert resolved(auto).precision == chosen
    found = run(Regression(), tmp_path / "auto", auto)
    assert found == run(Regression(), tmp_path / "named", replace(QUICK, precision=chosen))
    assert found != run(Regression(), tmp_path / "other", replace(QUICK, precision=other))
    run(Regression(), tmp_path / "auto", replace(QUICK, precision=chosen))  # the same training
    with pytest.raises(StateError, match="another precision"):
        run(Regression(), tmp_path / "auto", replace(QUICK, precision=other))


def test_another_network_is_refused(tmp_path: Path) -> None:
    run(Regression(), tmp_path)
    with pytest.raises(StateError, match="of another network"):
        run(Regression(width=5), tmp_path)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", None])
def test_a_damaged_checkpoint_is_refused(content: bytes | None, tmp_path: Path) -> None:
    run(Regression(), tmp_path)
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:500] if content is None else content)
    with pytest.raises(StateError, match=r"cannot be read; delete it to start again"):
        run(Regression(), tmp_path)


def test_a_changed_byte_is_refused(tmp_path: Path) -> None:
    run(Regression(), tmp_path)
    path = tmp_path / "checkpoint.pt"
    data, random = path.read_bytes(), np.random.default_rng(0)
    for place in random.integers(0, len(data), 300):
        damaged = bytearray(data)
        damaged[place] ^= int(random.integers(1, 256))
        path.write_bytes(damaged)
        with pytest.raises(StateError, match="delete it to start again"):
            averaged(path)
    path.write_bytes(data)
    assert_equal(averaged(path), kept(tmp_path)["average"])


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    torch.save({"module": {}}, tmp_path / "checkpoint.pt")
    for use in (lambda: run(Regression(), tmp_path), lambda: averaged(tmp_path / "checkpoint.pt")):
        with pytest.raises(StateError, match="is not a checkpoint"):
            use()


@pytest.mark.parametrize(
    ("entry", "value", "message"),
    [
        ("step", "3", "is not a checkpoint"),
        ("step", -1, "is not a checkpoint"),
        ("skipped", True, "is not a checkpoint"),
        ("options", None, "is not a checkpoint"),
        ("module", [1.0], "is not a checkpoint"),
        ("average", {}, "is of another network"),
        ("optimizer", {"state": None, "param_groups": []}, "is of another network"),
    ],
)
def test_entries_of_another_type_are_refused(entry: str, value: object, message: str, tmp_path: Path) -> None:
    run(Regression(), tmp_path)
    torch.save({**kept(tmp_path), entry: value}, tmp_path / "checkpoint.pt")
    with pytest.raises(StateError, match=message):
        run(Regression(), tmp_path)


def test_save_and_restore(tmp_path: Path) -> None:
    one, other = (begin(Regression(), replace(QUICK, seed=s)) for s in (0, 1))
    one.step, one.skipped = 7, 2
    save_checkpoint(one, tmp_path / "c.pt", options=QUICK)
    restore(other, tmp_path / "c.pt", options=QUICK)
    assert (other.step, other.skipped) == (7, 2)
    assert_equal(other.module.state_dict(), one.module.state_dict())
    assert_equal(other.average, one.average)
    assert list(tmp_path.iterdir()) == [tmp_path / "c.pt"]
