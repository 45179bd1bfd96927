"""Laws of training in several processes: two, started once for the whole file, on the CPU."""

from __future__ import annotations

import json
import math
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from regression import batches, kept
from together import OPTIONS, Line, broken, run
from torch import Tensor

from impasto.core.errors import MissingExtra, OptionError
from impasto.training import processes
from impasto.training.processes import Loss, Processes, device_for, gathered, is_first

PROGRAM = Path(__file__).with_name("together.py")
VARIABLES = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "GROUP_RANK")


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def started(folder: Path, count: int) -> list[subprocess.Popen[str]]:
    shared = {"WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    environments = [{k: str(v) for k, v in {**shared, "RANK": i, "LOCAL_RANK": i}.items()} for i in range(count)]
    return [
        subprocess.Popen(
            [sys.executable, str(PROGRAM), str(folder)],
            env=os.environ | environment | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "error"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for environment in environments
    ]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that two processes have worked in."""
    folder = tmp_path_factory.mktemp("pair")
    running = started(folder, 2)
    try:
        said = [process.communicate(timeout=300)[0] for process in running]
    finally:
        for process in running:
            process.kill()
    assert [process.returncode for process in running] == [0, 0], "\n".join(said)
    return folder


@pytest.fixture
def seen(pair: Path) -> list[dict[str, Any]]:
    """What each process saw."""
    return [json.loads((pair / f"rank{i}.json").read_text(encoding="utf-8")) for i in range(2)]


def assert_near(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], atol=1e-5, rtol=0)


def losses(rows: list[dict[str, Any]]) -> list[float]:
    return [value for row in rows for value in row["losses"].values()]


# As one process


@pytest.mark.parametrize("name", ["plain", "accumulated"])
def test_two_train_as_one(name: str, pair: Path, seen: list[dict[str, Any]], tmp_path: Path) -> None:
    alone = run(tmp_path)
    assert len(alone) == 6
    for rows in (seen[0][name], seen[1][name]):
        assert losses(rows) == pytest.approx(losses(alone), abs=1e-5)
    for part in ("module", "average"):
        assert_near(kept(pair / name)[part], kept(tmp_path)[part])
        with pytest.raises(AssertionError):  # the law can fail
            assert_near(kept(pair / "broken")[part], kept(tmp_path)[part])


def test_two_see_the_same(seen: list[dict[str, Any]]) -> None:
    for name in ("plain", "accumulated", "resumed", "noisy", "all"):
        assert losses(seen[0][name]) == losses(seen[1][name])
    assert losses(seen[0]["all"]) == losses(seen[0]["plain"])  # with and without weights that take no part
    assert seen[0]["plain"][0]["device"] == "cpu, 2 processes"


def test_two_resume(pair: Path, seen: list[dict[str, Any]]) -> None:
    for rows in seen:
        assert rows["begun"] == rows["plain"][:3]
        assert rows["resumed"] == rows["plain"][3:]
    one, other = kept(pair / "parts"), kept(pair / "plain")
    for part in ("module", "average"):
        assert all(torch.equal(one[part][name], other[part][name]) for name in other[part])
    assert (pair / "parts/log.jsonl").read_text() == (pair / "plain/log.jsonl").read_text()


def test_one_goes_on_where_two_have_stopped(pair: Path, tmp_path: Path) -> None:
    options = replace(OPTIONS, steps=6)
    (tmp_path / "checkpoint.pt").write_bytes((pair / "plain/checkpoint.pt").read_bytes())
    assert run(tmp_path, options) == []


def test_a_batch_that_does_not_divide(seen: list[dict[str, Any]]) -> None:
    for rows in seen:
        (row,) = rows["odd"]
        assert row["error"] == "OptionError"
        assert "a batch of 7 does not divide into 2 equal parts" in row["message"]


def test_a_part_that_is_not_finite_is_skipped_by_all(pair: Path, seen: list[dict[str, Any]], tmp_path: Path) -> None:
    run(tmp_path, give=broken)
    for rows in seen:
        assert [row["skipped"] for row in rows["broken"]] == [0, 0, 0, 1, 1, 1]
        assert math.isnan(rows["broken"][3]["losses"]["error"])
    assert_near(kept(pair / "broken")["module"], kept(tmp_path)["module"])


def test_noise_differs_by_rank(seen: list[dict[str, Any]], tmp_path: Path) -> None:
    task = Line()
    run(tmp_path, task=task)
    assert seen[0]["drawn"] == task.drawn
    assert not set(seen[0]["drawn"]) & set(seen[1]["drawn"])


def test_batch_norms_keep_the_statistics_of_the_first_process(pair: Path) -> None:
    found = kept(pair / "normed")["module"]["used.0.running_mean"]
    _, x = batches(0)
    torch.testing.assert_close(found, 0.1 * x[:4].mean(0))
    assert not torch.allclose(found, 0.1 * x.mean(0))


def test_the_first_alone_writes(pair: Path, seen: list[dict[str, Any]]) -> None:
    lines = (pair / "plain/log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    names = [None, None, None, "step-000004.png", None, "step-000006.png"]
    assert [row["sample"] for row in seen[0]["watched"]] == names
    assert [row["sample"] for row in seen[1]["watched"]] == [None] * 6
    assert len(list((pair / "watched/tensorboard").iterdir())) == 1
    assert kept(pair / "watched")["step"] == 6
    assert losses(seen[0]["watched"]) == losses(seen[0]["plain"])


def test_processes_at_different_steps_are_refused(pair: Path, seen: list[dict[str, Any]]) -> None:
    for rows in seen:
        (row,) = rows["apart"]
        assert row["error"] == "StateError"
        assert "the processes stand at steps 6, 0" in row["message"]


@pytest.mark.slow
def test_torchrun(pair: Path, tmp_path: Path) -> None:
    """The launcher itself sets all that is needed."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = subprocess.run(
        [*command, str(PROGRAM), str(tmp_path)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    for i in range(2):
        assert (tmp_path / f"rank{i}.json").read_text() == (pair / f"rank{i}.json").read_text()


# The environment


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_one_process_needs_no_extra(alone: pytest.MonkeyPatch, tmp_path: Path) -> None:
    alone.setitem(sys.modules, "lightning_fabric", None)
    alone.setitem(sys.modules, "tensorboardX", None)
    assert run(tmp_path)[-1]["step"] == 6
    alone.setenv("WORLD_SIZE", "1")  # torchrun with one process
    alone.setenv("RANK", "0")
    assert run(tmp_path / "another")[-1]["step"] == 6


def test_several_need_the_extra(alone: pytest.MonkeyPatch) -> None:
    alone.setitem(sys.modules, "lightning_fabric", None)
    for name, value in zip(VARIABLES, ("2", "0", "0", "2", "127.0.0.1", "1", "0"), strict=True):
        alone.setenv(name, value)
    with pytest.raises(MissingExtra, match=r"2 processes needs lightning_fabric: pip install 'impasto\[train\]'"):
        gathered("cpu")


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"WORLD_SIZE": "2"}, "WORLD_SIZE=2 but no RANK, LOCAL_RANK, MASTER_ADDR, MASTER_PORT.*torchrun"),
        ({"WORLD_SIZE": "many"}, "WORLD_SIZE=many; a whole number is needed"),
    ],
)
def test_half_an_environment(variables: dict[str, str], message: str, alone: pytest.MonkeyPatch) -> None:
    for name, value in variables.items():
        alone.setenv(name, value)
    with pytest.raises(OptionError, match=message):
        gathered("cpu")


def test_who_is_first(alone: pytest.MonkeyPatch) -> None:
    assert is_first()
    alone.setenv("WORLD_SIZE", "2")
    for rank, first in (("0", True), ("1", False)):
        alone.setenv("RANK", rank)
        assert is_first() is first


# Devices


def test_the_device_by_name(alone: pytest.MonkeyPatch) -> None:
    assert device_for("cpu") == torch.device("cpu")
    for there, expected in ((True, torch.device("cuda", 0)), (False, torch.device("cpu"))):
        alone.setattr(torch.cuda, "is_available", lambda there=there: there)
        alone.setattr(torch.cuda, "device_count", lambda there=there: int(there))
        assert device_for("auto") == expected


def test_each_process_has_a_device_of_its_own(alone: pytest.MonkeyPatch) -> None:
    alone.setattr(torch.cuda, "is_available", lambda: True)
    alone.setattr(torch.cuda, "device_count", lambda: 2)
    for local in range(2):
        alone.setenv("LOCAL_RANK", str(local))
        assert device_for("cuda") == torch.device("cuda", local)
    alone.setenv("LOCAL_RANK", "2")
    with pytest.raises(OptionError, match="needs 3 CUDA devices here, and PyTorch sees 2"):
        device_for("cuda")


def test_a_device_that_is_not_there(alone: pytest.MonkeyPatch) -> None:
    alone.setattr(torch.cuda, "is_available", lambda: False)
    alone.setattr(torch.backends.mps, "is_available", lambda: False)
    for name in ("cuda", "mps"):
        with pytest.raises(OptionError, match=f"`device={name}` needs .* `device=cpu`"):
            device_for(name)
    alone.setattr(torch.backends.mps, "is_available", lambda: True)
    assert device_for("mps") == torch.device("mps")
    alone.setenv("WORLD_SIZE", "2")
    with pytest.raises(OptionError, match="`device=mps` trains in one process"):
        device_for("mps")


def test_progress_names_the_device(alone: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert run(tmp_path)[0]["device"] == "cpu"
    alone.setattr(torch.cuda, "get_device_name", lambda device: "Brand 100")
    assert Processes(torch.device("cuda", 0)).about == "cuda:0 (Brand 100)"
    assert Processes(torch.device("cpu"), 1, 3).about == "cpu, 3 processes"


def test_a_task_that_is_a_module_stays_apart() -> None:
    class Module(torch.nn.Linear):
        def loss(self, module: torch.nn.Module, batch: Tensor) -> dict[str, Tensor]:
            return {"loss": module(batch).mean()}

    loss = Loss(Module(2, 2), torch.nn.Linear(2, 3))
    assert {name for name, _ in loss.named_parameters()} == {"module.weight", "module.bias"}
    assert processes.Processes(torch.device("cpu")).joined(loss) is loss
