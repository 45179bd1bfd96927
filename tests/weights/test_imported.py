"""Weights of other projects kept under a name."""

from __future__ import annotations

from pathlib import Path

import pytest

from impasto.core.errors import OptionError, WeightsError
from impasto.weights.card import load
from impasto.weights.catalogue import installed, located
from impasto.weights.readers import import_weights, load_weights, read_checkpoint

from .checkpoints import features, gatys, pth, same


@pytest.mark.parametrize("name", ["mine", None])
def test_an_imported_file_is_found_by_name(name: str | None, tmp_path: Path) -> None:
    path = pth(tmp_path, features(), "My net (1).pth.tar")
    target = import_weights(path, checkpoint_format="caffe-vgg", name=name)
    chosen = name or "My-net-1"
    assert located(chosen) == target
    assert (chosen, "imported") in [(found.name, found.origin) for found in installed()]
    found, wanted = load(target), read_checkpoint(path, checkpoint_format="caffe-vgg")
    assert same(found.tensors, wanted.tensors)
    assert found.card.name == chosen
    assert found.card.source == wanted.card.source
    assert wanted.sha256 in found.card.source
    assert load_weights(chosen).card == found.card


def test_a_second_import_replaces_the_first_only_when_asked(tmp_path: Path) -> None:
    path = pth(tmp_path, features())
    first = import_weights(path, checkpoint_format="caffe-vgg")
    with pytest.raises(OptionError, match=r"w is already imported.*`replace`"):
        import_weights(path, checkpoint_format="torchvision-vgg")
    assert load(first).card.preprocess == "caffe-bgr"
    assert import_weights(path, checkpoint_format="torchvision-vgg", replace=True) == first
    assert load(first).card.preprocess == "imagenet-rgb"


def test_a_failed_import_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(WeightsError):
        import_weights(pth(tmp_path, features()), name="mine")
    with pytest.raises(OptionError, match="choose another"):
        import_weights(pth(tmp_path, gatys()), name="vgg19")
    assert not any(found.origin == "imported" for found in installed())
