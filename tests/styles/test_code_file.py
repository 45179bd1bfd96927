"""Styles kept without their pictures."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from impasto import api
from impasto.config.job import Job, StyleSource
from impasto.core.errors import ImageError, OptionError, WeightsError
from impasto.image import files
from impasto.session.opened import open_session
from impasto.styles.code_file import read_code
from impasto.weights.card import load, save

MakeJob = Callable[..., Job]
SaveNetwork = Callable[..., Path]


@pytest.fixture
def kept(there: Path, network_file: Path) -> Path:
    """The style of `style.png`, for outputs of 48 px."""
    api.save_style(there / "style.png", there / "kept.safetensors", size=48, network=str(network_file))
    return there / "kept.safetensors"


def styles(*names: str | Path, **options: Any) -> tuple[StyleSource, ...]:
    return tuple(StyleSource(source=str(name), **options) for name in names)


def painted(job: Job) -> Tensor:
    *_, last = open_session(job).steps()
    return last.picture()


def test_it_paints_as_its_picture_does(kept: Path, quick_job: MakeJob) -> None:
    assert torch.equal(painted(quick_job(styles=styles(kept))), painted(quick_job()))


def test_the_picture_is_not_needed(kept: Path, quick_job: MakeJob, there: Path) -> None:
    (there / "style.png").unlink()
    painted(quick_job(styles=styles(kept)))


def test_it_mixes_with_pictures(kept: Path, quick_job: MakeJob, there: Path) -> None:
    picture, other = there / "style.png", there / "content.png"
    both = painted(quick_job(styles=styles(picture, other)))
    torch.testing.assert_close(painted(quick_job(styles=styles(kept, other))), both, atol=1e-5, rtol=0)
    assert not torch.equal(both, painted(quick_job()))


def test_it_paints_its_region(kept: Path, quick_job: MakeJob, there: Path) -> None:
    mask = torch.zeros(1, 1, 72, 80)
    mask[..., :40] = 1
    files.write(there / "left.png", mask)
    files.write(there / "right.png", 1 - mask)
    regions = [styles(name, mask=there / "left.png") for name in (kept, there / "style.png")]
    right = styles(there / "content.png", mask=there / "right.png")
    one, other = (painted(quick_job(styles=(*left, *right))) for left in regions)
    torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


def test_the_card_says_what_it_is_of(kept: Path, network_file: Path) -> None:
    card = read_code(kept).card
    network = api.load_network(network_file, precision="float32")
    assert (card.kind, card.name, card.source) == ("style", "kept", "style.png")
    assert card.training == {"picture": "style.png", "scale": 1.0, "size_px": 48}
    assert card.network["encoder"] == {"name": network.encoder.name, "sha256": network.encoder.sha256}
    assert card.network["layers"] == list(network.net.code_layers)
    assert kept.stat().st_size < 10_000


def test_equal_pictures_give_equal_files(kept: Path, there: Path, network_file: Path) -> None:
    before = kept.read_bytes()
    api.save_style(there / "style.png", kept, size=48, network=str(network_file))
    assert kept.read_bytes() == before
    api.save_style(there / "style.png", kept, size=48, scale=0.5, network=str(network_file))
    assert load(kept).card.training["scale"] == 0.5


@pytest.mark.parametrize("name", ["kept.png", "kept", "folder.safetensors"])
def test_a_name_that_would_not_be_known_again(name: str, there: Path, network_file: Path) -> None:
    (there / "folder.safetensors").mkdir()
    with pytest.raises(OptionError, match="cannot name a saved style"):
        api.save_style(there / "style.png", there / name, network=str(network_file))


def test_pictures_without_a_style(there: Path, network_file: Path, photo: Tensor) -> None:
    path = there / "kept.safetensors"
    with pytest.raises(ImageError, match="does not exist"):
        api.save_style(there / "nowhere.png", path, network=str(network_file))
    with pytest.raises(ImageError, match="1×1 px"):
        api.save_style(photo[..., :1, :1], path, network=str(network_file))
    assert not path.exists()


def test_a_network_on_another_encoder(kept: Path, quick_job: MakeJob, there: Path, save_network: SaveNetwork) -> None:
    again = load(there / "tiny.safetensors")
    save(there / "other.safetensors", {k: v * 1.01 for k, v in again.tensors.items()}, card=again.card)
    other = save_network(there / "other-net.safetensors", encoder=there / "other.safetensors")
    job = quick_job(styles=styles(kept), arbitrary=api.ArbitraryOptions(network=str(other)))
    with pytest.raises(WeightsError, match="was saved with another encoder"):
        painted(job)


def test_a_network_of_other_layers(kept: Path, quick_job: MakeJob, there: Path, save_network: SaveNetwork) -> None:
    for variant in ("wct", "adain-skip"):
        other = save_network(there / "other-net.safetensors", encoder=there / "tiny.safetensors", variant=variant)
        job = quick_job(styles=styles(kept), arbitrary=api.ArbitraryOptions(network=str(other)))
        with pytest.raises(WeightsError, match="does not have the means"):
            painted(job)


def test_another_network_of_the_same_layers(
    kept: Path, quick_job: MakeJob, there: Path, save_network: SaveNetwork
) -> None:
    other = save_network(there / "other-net.safetensors", encoder=there / "tiny.safetensors", seed=2)
    options = {"arbitrary": api.ArbitraryOptions(network=str(other))}
    assert torch.equal(painted(quick_job(styles=styles(kept), **options)), painted(quick_job(**options)))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere.safetensors", "does not exist"),
        ("tiny.safetensors", "holds weights of kind encoder, not a style"),
        ("text.safetensors", "safetensors"),
    ],
)
def test_what_is_no_saved_style(name: str, message: str, quick_job: MakeJob, there: Path) -> None:
    (there / "text.safetensors").write_text("hello")
    with pytest.raises(WeightsError, match=message):
        painted(quick_job(styles=styles(there / name)))


def test_a_damaged_code(kept: Path, quick_job: MakeJob) -> None:
    found = load(kept)
    save(kept, {name: stats[..., :-1] for name, stats in found.tensors.items()}, card=found.card)
    with pytest.raises(WeightsError, match="does not have the means"):
        painted(quick_job(styles=styles(kept)))
    save(kept, {}, card=dataclasses.replace(found.card, network={}))
    with pytest.raises(WeightsError, match="another encoder"):
        painted(quick_job(styles=styles(kept)))
