"""Laws of schedules, options that may change, and devices."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from regression import QUICK, Drawing, Regression, kept, run
from states import assert_equal

from impasto.config.training import FitOptions
from impasto.core.errors import StateError
from impasto.training.determinism import deterministic
from impasto.training.fit import learning_rate


def test_the_inverse_learning_rate() -> None:
    options = replace(QUICK, schedule="inverse", decay=0.01, learning_rate=1.0, warmup_steps=0, steps=1000)
    assert learning_rate(0, options) == 1
    assert learning_rate(100, options) == pytest.approx(0.5)
    assert learning_rate(300, options) == pytest.approx(0.25)
    assert learning_rate(0, replace(options, warmup_steps=4)) == 0.25


@pytest.mark.parametrize(
    "other", [{"sample_every": 3}, {"tensorboard": True}, {"device": "cpu"}, {"log_every": 5, "checkpoint_every": 2}]
)
def test_what_changes_no_weights_may_change(other: dict[str, Any], tmp_path: Path) -> None:
    run(Drawing(), tmp_path / "whole")
    run(Drawing(), tmp_path / "parts", stop_after=6)
    assert run(Drawing(), tmp_path / "parts", replace(QUICK, **other))[0].step == 7
    assert_equal(kept(tmp_path / "whole")["module"], kept(tmp_path / "parts")["module"])


@pytest.mark.parametrize("other", [{"accumulate": 2}, {"decay": 0.1}, {"schedule": "inverse"}])
def test_what_changes_weights_may_not(other: dict[str, Any], tmp_path: Path) -> None:
    run(Regression(), tmp_path)
    with pytest.raises(StateError, match=f"another {next(iter(other))}"):
        run(Regression(), tmp_path, replace(QUICK, **other))


def test_a_checkpoint_from_before_an_option_resumes(tmp_path: Path) -> None:
    run(Regression(), tmp_path / "whole")
    run(Regression(), tmp_path / "parts", stop_after=6)
    old = kept(tmp_path / "parts")
    for name in ("accumulate", "decay", "device", "sample_every", "tensorboard"):
        del old["options"][name]
    torch.save(old, tmp_path / "parts" / "checkpoint.pt")
    with pytest.raises(StateError, match="another accumulate"):
        run(Regression(), tmp_path / "parts", replace(QUICK, accumulate=2))
    assert run(Regression(), tmp_path / "parts")[0].step == 7
    assert_equal(kept(tmp_path / "whole"), kept(tmp_path / "parts"))


def test_on_cuda_kernels_have_one_order() -> None:
    before = torch.are_deterministic_algorithms_enabled()
    with deterministic(torch.device("cpu")):
        assert torch.are_deterministic_algorithms_enabled() is before
    for outside in (False, True):
        torch.use_deterministic_algorithms(outside)
        with deterministic(torch.device("cuda")):
            assert torch.are_deterministic_algorithms_enabled()
            assert torch.is_deterministic_algorithms_warn_only_enabled()
        assert torch.are_deterministic_algorithms_enabled() is outside
    torch.use_deterministic_algorithms(before)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_on_cuda_stopped_and_resumed_is_the_same(tmp_path: Path) -> None:
    options = replace(QUICK, device="cuda")
    whole = run(Regression(), tmp_path / "whole", options)
    run(Regression(), tmp_path / "parts", options, stop_after=7)
    assert run(Regression(), tmp_path / "parts", options) == whole[7:]
    assert_equal(kept(tmp_path / "whole"), kept(tmp_path / "parts"))
    assert whole[0].device.startswith("cuda:0")


def test_the_file_of_a_checkpoint_is_as_it_was(tmp_path: Path) -> None:
    run(Regression(), tmp_path)
    assert kept(tmp_path).keys() == {"module", "optimizer", "average", "step", "skipped", "options"}


@dataclass(frozen=True, kw_only=True)
class OtherDefaults(FitOptions):
    """Options of another training, with a field of its own."""

    schedule: str = "inverse"
    more: int = 3


def test_options_with_other_defaults_resume(tmp_path: Path) -> None:
    options = OtherDefaults(**(QUICK.to_dict() | {"schedule": "inverse"}))
    run(Regression(), tmp_path / "whole", options)
    run(Regression(), tmp_path / "parts", options, stop_after=6)
    assert run(Regression(), tmp_path / "parts", options)[0].step == 7
    assert_equal(kept(tmp_path / "whole"), kept(tmp_path / "parts"))
    with pytest.raises(StateError, match="another more"):
        run(Regression(), tmp_path / "parts", replace(options, more=4))
