"""Names and options that are nearly right: the line says what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from in_process import Run

from impasto.encoders.squeezenet import SqueezeNet
from impasto.weights.catalogue import installed


def test_layers_of_an_imported_squeezenet(run: Run, here: Path) -> None:
    torch.save(SqueezeNet(matrix=torch.eye(3).tolist(), offset=(0, 0, 0)).state_dict(), "weights.pth")
    assert run("models", "import", "weights.pth", "--name", "squeeze").code == 0
    assert "squeeze" in [row.name for row in installed()]
    words = ["--method", "optimise", "--encoder", "squeeze", "--style-layers", "relu1_1", "-o", "o.png"]
    done = run("stylize", "content.png", "--style", "style.png", *words)
    assert (done.code, done.err.count("\n")) == (2, 1), done.err
    for part in ("unknown layer 'relu1_1'", "Known: ", "fire", "--content-layers", "--style-layers"):
        assert part in done.err


@pytest.mark.skipif(torch.cuda.is_available(), reason="for machines without a GPU")
def test_a_device_that_is_not_there(run: Run, quick: list[str]) -> None:
    done = run("stylize", "content.png", "--style", "style.png", *quick, "--device", "cuda", "-o", "o.png")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "--device cpu" in done.err
    assert run("stylize", "content.png", "--style", "style.png", *quick, "--device", "cpu", "-o", "o.png").code == 0
