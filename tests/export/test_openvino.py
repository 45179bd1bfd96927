"""Networks as OpenVINO models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from impasto.config.export import OnnxOptions
from impasto.core.errors import OptionError
from impasto.export.files import write_graphs
from impasto.nets import fast

openvino = pytest.importorskip("openvino")


def test_openvino_paints_what_torch_paints(save_learned: Callable[..., Path], tmp_path: Path) -> None:
    style, path = save_learned(tmp_path / "one.safetensors"), tmp_path / "one.xml"
    (written,) = write_graphs(str(style), path, options=OnnxOptions(format="openvino"))
    assert written.difference < 1
    picture = torch.rand(1, 3, 48, 64)
    compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = compiled([picture.numpy()])[0]
    wanted = fast.load_fast_network(style, precision="float32").painter.painted(picture).numpy()
    assert np.abs(found - wanted).max() * 255 < 1


def test_its_files_end_in_xml(save_learned: Callable[..., Path], tmp_path: Path) -> None:
    style = save_learned(tmp_path / "one.safetensors")
    with pytest.raises(OptionError, match=r"does not end in \.xml"):
        next(iter(write_graphs(str(style), tmp_path / "one.onnx", options=OnnxOptions(format="openvino"))))
