"""Laws of the log and of TensorBoard."""

from __future__ import annotations

import io
import json
import struct
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from regression import QUICK, WATCHED, Drawing, Regression, run, spoiled_at

from impasto.core.errors import MissingExtra

# The log


def test_the_log_is_json_lines(tmp_path: Path) -> None:
    run(Regression(spoil=spoiled_at(3)), tmp_path, replace(QUICK, log_every=2))
    rows = [json.loads(line, parse_constant=pytest.fail) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [2, 4, 6, 8, 10, 12]
    assert rows[1]["error"] is None
    assert rows[1]["skipped"] == 1


def test_half_a_line_of_a_killed_run_is_dropped(tmp_path: Path) -> None:
    run(Regression(), tmp_path, stop_after=7)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 8, "lea')
    run(Regression(), tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, 13))


# TensorBoard

BOARD = replace(QUICK, tensorboard=True, log_every=2)


def events(folder: Path) -> list[Any]:
    """Every event of a run's event files, in order of time: records of length, checksum, bytes, checksum."""
    from tensorboardX.proto import event_pb2

    found = []
    for path in sorted((folder / "tensorboard").iterdir()):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            found.append(event_pb2.Event.FromString(data[12 : 12 + length]))
            data = data[12 + length + 4 :]
    return found


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard shows: steps and values by name, without those that a later start has made void."""
    found: dict[str, list[tuple[int, float]]] = {}
    for event in events(folder):
        if event.HasField("session_log") and event.session_log.status == event.session_log.START:
            found = {name: [row for row in rows if row[0] < event.step] for name, rows in found.items()}
        for value in event.summary.value:
            found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


def test_scalars_are_those_of_the_log(tmp_path: Path) -> None:
    rows = run(Regression(), tmp_path, BOARD)
    found = scalars(tmp_path)
    assert found.keys() == {"loss/error", "loss/small", "total", "learning_rate", "gradient_norm"}
    due = [row for row in rows if row.step % 2 == 0]
    assert found["learning_rate"] == [(row.step, pytest.approx(row.learning_rate)) for row in due]
    assert found["loss/error"] == [(row.step, pytest.approx(row.losses["error"])) for row in due]
    assert found["total"] == [(row.step, pytest.approx(sum(row.losses.values()))) for row in due]
    assert all(value > 0 for _, value in found["gradient_norm"])
    logged = [json.loads(line)["step"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [step for step, _ in found["total"]] == logged


def test_scalars_of_a_resumed_run_come_once(tmp_path: Path) -> None:
    run(Regression(), tmp_path / "whole", BOARD)
    run(Regression(), tmp_path / "parts", BOARD, stop_after=9)
    assert [step for step, _ in scalars(tmp_path / "parts")["total"]] == [2, 4, 6, 8]
    run(Regression(), tmp_path / "parts", BOARD)  # from step 5
    assert len(list((tmp_path / "parts/tensorboard").iterdir())) == 2
    assert scalars(tmp_path / "parts") == scalars(tmp_path / "whole")


def test_samples_are_pictures_of_tensorboard(tmp_path: Path) -> None:
    run(Drawing(), tmp_path, replace(WATCHED, tensorboard=True))
    shown = {
        event.step: value.image for event in events(tmp_path) for value in event.summary.value if value.tag == "samples"
    }
    assert sorted(shown) == [4, 8, 12]
    for step, image in shown.items():
        found = np.asarray(Image.open(io.BytesIO(image.encoded_image_string)).convert("RGB"))
        sample = np.asarray(Image.open(tmp_path / f"samples/step-{step:06d}.png"))
        assert np.array_equal(found, sample)


def test_what_is_not_finite_is_left_out(tmp_path: Path) -> None:
    run(Regression(spoil=spoiled_at(3)), tmp_path, BOARD)
    found = scalars(tmp_path)
    assert [step for step, _ in found["loss/error"]] == [2, 6, 8, 10, 12]
    assert [step for step, _ in found["learning_rate"]] == [2, 4, 6, 8, 10, 12]


def test_tensorboard_needs_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(MissingExtra, match=r"`tensorboard` needs tensorboardX: pip install 'impasto\[train\]'"):
        run(Regression(), tmp_path, BOARD)
