"""From the command to a network: few calls deep, and each style classified once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from in_process import Run

import impasto
from impasto.styles.catalogue import StyleCatalogue
from impasto.weights import catalogue

SOURCE = str(Path(impasto.__file__).parent)
DEEPEST = 7


def frames_below(function: str) -> list[str]:
    """The files of the package's frames from `function` down to the caller."""
    files: list[str] = []
    frame = sys._getframe(1)
    while frame is not None and frame.f_code.co_name != function:
        files.append(frame.f_code.co_filename)
        frame = frame.f_back  # type: ignore[assignment]
    assert frame is not None, f"{function} is not running"
    return [file for file in [*files, frame.f_code.co_filename] if file.startswith(SOURCE)]


@pytest.fixture
def depths(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The files of the frames at each network's forward, from the command `stylize` on."""
    seen: list[list[str]] = []
    call = torch.nn.Module.__call__

    def counted(self: torch.nn.Module, *args: Any, **named: Any) -> Any:
        seen.append([*frames_below("stylize"), sys.modules[type(self).__module__].__file__ or ""])
        return call(self, *args, **named)

    monkeypatch.setattr(torch.nn.Module, "__call__", counted)
    return seen


@pytest.mark.parametrize("style", ["wave", "style.png"])
def test_few_frames_from_the_command_to_a_network(style: str, run: Run, depths: list[list[str]]) -> None:
    assert run("stylize", "content.png", "--style", style, "--size", "48", "-o", "o.png").code == 0
    painting = [files for files in depths if any(file.endswith("nets/painting.py") for file in files)]
    shallowest = min(painting, key=len)
    assert len(shallowest) <= DEEPEST
    assert len(set(shallowest)) <= DEEPEST


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any, str], list[Any]]:
    """`counted(owner, name)` is the growing list of calls of a function."""

    def count(owner: Any, name: str) -> list[Any]:
        calls: list[Any] = []
        function = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *args: (calls.append(args), function(*args))[1])
        return calls

    return count


@pytest.mark.parametrize("style", ["style.png", "wave"])
def test_a_style_is_classified_once(style: str, run: Run, counted: Callable[[Any, str], list[Any]]) -> None:
    classified, listed = counted(StyleCatalogue, "_classify"), counted(catalogue, "installed")
    assert run("stylize", "content.png", "--style", style, "--size", "48").code == 0
    assert len(classified) == 1
    assert len(listed) <= 1
