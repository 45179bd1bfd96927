"""Two processes train a network for any style as one does, started as the manual says."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from impasto.config.arbitrary_training import ArbitraryTrainOptions


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["adain", "adain-colour", "predicted"])
def test_two_processes_train_as_one(
    variant: str, adain_options: Callable[..., ArbitraryTrainOptions], tmp_path: Path
) -> None:
    """Batches of eight: the four of each process hold one that is painted in its own style, as the whole holds two."""
    given = adain_options()
    words = ["train", "arbitrary", "--contents", str(given.contents[0]), "--styles", str(given.styles[0])]
    words += ["--encoder", given.encoder, "--variant", variant, "--crop-px", "32", "--short-side-px", "40"]
    words += ["--steps", "3", "--batch-size", "8", "--precision", "float32", "--device", "cpu", "--log-every", "1"]
    words += ["--identity-weight", "1", "--smoothness-weight", "1", "--sample-every", "2", "--threads", "1", "--json"]
    two = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m"]
    for name, start in (("one", [sys.executable, "-m"]), ("two", two)):
        command = [*start, "impasto", *words, "-o", str(tmp_path / name)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["steps"] == 3  # the first process alone speaks
    one, two_ = (torch.load(tmp_path / name / "checkpoint.pt", weights_only=True) for name in ("one", "two"))
    for part in ("module", "average"):
        assert one[part].keys() == two_[part].keys()
        for key, value in one[part].items():
            atol = 1e-3 if key.endswith(".noise") else 5e-4  # each process draws noise of its own
            torch.testing.assert_close(value, two_[part][key], atol=atol, rtol=0)
    logs = [(tmp_path / name / "log.jsonl").read_text(encoding="utf-8").splitlines() for name in ("one", "two")]
    rel = 0.2 if variant == "predicted" else 1e-3  # its noise enters every loss
    for line, other in zip(*logs, strict=True):
        assert json.loads(line) == pytest.approx(json.loads(other), rel=rel, abs=1e-3)
    assert len(list((tmp_path / "two" / "samples").iterdir())) == 2
