"""Weight files whatever wraps them, and files that are none."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from impasto.core.errors import WeightsError
from impasto.weights.readers import read_checkpoint

from .checkpoints import gatys, plain, pth, same


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: {"state_dict": s, "epoch": 3},
        lambda s: {"model": {"state_dict": s}},
        lambda s: {f"module.{key}": tensor for key, tensor in s.items()},
        lambda s: {"state_dict": {f"_orig_mod.module.{key}": tensor for key, tensor in s.items()}},
        lambda s: {key: nn.Parameter(tensor) for key, tensor in s.items()} | {"epoch": 3},
        lambda s: OrderedDict(reversed(s.items())),
    ],
)
def test_wrappings_come_off(wrap: Callable[[dict[str, Tensor]], object], tmp_path: Path) -> None:
    found = read_checkpoint(pth(tmp_path, wrap(gatys())))
    assert same(found.tensors, gatys())
    assert not any(tensor.requires_grad for tensor in found.tensors.values())


def test_the_old_checkpoint_format(tmp_path: Path) -> None:
    torch.save(gatys(), tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert same(read_checkpoint(tmp_path / "old.pth").tensors, gatys())


def test_the_content_tells_the_container(tmp_path: Path) -> None:
    plain(tmp_path, gatys()).rename(tmp_path / "w.pth")
    assert same(read_checkpoint(tmp_path / "w.pth").tensors, gatys())


def test_the_tensors_outlive_the_file(tmp_path: Path) -> None:
    path = pth(tmp_path, gatys())
    found = read_checkpoint(path)
    path.write_bytes(b"\0" * path.stat().st_size)
    assert same(found.tensors, gatys())


@pytest.mark.parametrize("bad", [torch.full((4,), float("nan")), torch.ones(4, dtype=torch.int64)])
def test_values_that_are_no_weights(bad: Tensor, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"conv1_1.bias in w.pth is not all finite floats"):
        read_checkpoint(pth(tmp_path, gatys() | {"conv1_1.bias": bad}))


class Own:
    """Something that only running code could restore."""


def saved(state: object, **options: bool) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer, **options)
    return buffer.getvalue()


def zipped(name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr(name, b"x")
    return buffer.getvalue()


def broken_safetensors() -> bytes:
    header = json.dumps({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}).encode()
    return len(header).to_bytes(8, "little") + header + b"\0" * 3


OLD = {"_use_new_zipfile_serialization": False}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\n<!DOCTYPE html><html>404</html>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
        (b"no weights at all", "damaged, or neither"),
        (saved(gatys())[:3000], "damaged, or neither"),
        (saved(gatys(), **OLD)[:3000], "damaged, or neither"),
        (saved(gatys(), **OLD)[:30], "damaged, or neither"),
        (zipped("anything"), "damaged, or neither"),
        (broken_safetensors(), "damaged or not a safetensors file"),
        (saved({"a": Own()}), r"Python objects \(.*Own\)"),
        (saved(nn.Linear(2, 2)), r"Python objects \(torch.nn.modules.linear.Linear\)"),
        (saved(Own(), **OLD), r"Python objects \(.*Own\)"),
        (pickle.dumps({"a": Own()}), "damaged, or neither|Python objects"),
        (saved(torch.ones(2)), "holds a Tensor"),
        (saved([torch.ones(2)]), "holds a list"),
        (saved({"epoch": 3}), "no tensors by name"),
        (saved({"state_dict": {}}), "no tensors by name"),
        (saved({1: torch.ones(2)}), "no tensors by name"),
    ],
)
def test_files_that_are_no_weights(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=said) as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_a_torchscript_program(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("w/constants.pkl", b"x")
        file.writestr("w/data.pkl", b"x")
        file.writestr("w/version", b"3")
    with pytest.raises(WeightsError, match="TorchScript"):
        read_checkpoint(path)


def test_a_state_dict_inside_itself(tmp_path: Path) -> None:
    knot: dict[str, object] = {}
    knot["state_dict"] = knot
    with pytest.raises(WeightsError, match="no tensors by name"):
        read_checkpoint(pth(tmp_path, knot))


def test_unpickling_runs_no_code(tmp_path: Path) -> None:
    mark = tmp_path / "mark"

    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return mark.write_text, ("run",)

    with pytest.raises(WeightsError):
        read_checkpoint(pth(tmp_path, {"a": Evil()}))
    assert not mark.exists()


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="cannot read"):
        read_checkpoint(tmp_path / "gone.pth")
