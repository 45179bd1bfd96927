"""Damaged inputs of every kind give errors of the library: no others, no hang, no bomb, no stray output."""

from __future__ import annotations

import sys

import pytest

if sys.platform == "win32":
    pytest.skip("memory and time are limited by means of POSIX", allow_module_level=True)

from fuzz.campaign import run

pytestmark = pytest.mark.slow
CASES = {"pictures": 4000, "weights": 2000, "recipes": 2000, "checkpoints": 1500, "options": 8000}


@pytest.mark.parametrize("target", CASES)
def test_damage_gives_errors_of_the_library_only(target: str) -> None:
    done = run(target, CASES[target])
    assert done["findings"] == [], "\n\n".join(done["findings"])
    assert done["refused"] > CASES[target] / 20, "hardly any case was damaged"
    assert done["accepted"] > CASES[target] / 100, "every case was refused: harmless changes are needed, too"


@pytest.mark.parametrize(
    ("target", "planted", "message"),
    [
        ("pictures", "raw errors of decoders", "Error"),
        ("pictures", "loud libtiff", "printed"),
        ("weights", "raw errors of safetensors", "SafetensorError"),
        ("recipes", "recipes taken on trust", "Error"),
        ("checkpoints", "no checksum", "Unnoticed"),
        ("options", "unlimited numbers", "OverflowError"),
        ("options", "hang", "slower than 0.5 s"),
        ("options", "memory", "memory grew by"),
        ("options", "output", "libfoo"),
        ("options", "crash", "the process ended with -6"),
    ],
)
def test_a_planted_defect_is_found(target: str, planted: str, message: str) -> None:
    seconds = 0.5 if planted == "hang" else 20
    cases = {"hang": 2, "memory": 2, "no checksum": 60, "unlimited numbers": 3000}.get(planted, 300)
    assert any(message in finding for finding in run(target, cases, planted=planted, seconds=seconds)["findings"])
