"""The Python interface: what a call takes, and what it gives back."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import impasto
from impasto import api
from impasto.api import OptimiseOptions, PaintOptions, Step, stylize
from impasto.core.errors import ImageError, OptionError, UnknownName
from impasto.image import files
from impasto.methods.arbitrary import ArbitraryMethod

SMALL: dict[str, Any] = {"size": 48}


def test_pictures_of_every_kind_give_the_same(photo: Tensor, painting: Tensor) -> None:
    pixels = (photo * 255).round() / 255
    array = pixels[0].permute(1, 2, 0).numpy()
    one, *others = (
        stylize(content, painting, **SMALL).pixels
        for content in (pixels, pixels[0], array, array.astype(np.float64), (array * 255).round().astype(np.uint8))
    )
    for other in others:
        torch.testing.assert_close(other, one, atol=1e-5, rtol=0)


@pytest.mark.parametrize("array", [np.full((8, 8, 3), 1.5), np.full((8, 8), np.nan)])
def test_floats_out_of_range(array: Any, painting: Tensor) -> None:
    with pytest.raises(ImageError, match="Scale or clamp"):
        stylize(array, painting)


def test_strength_nothing_is_kept(photo: Tensor, painting: Tensor) -> None:
    by_options = stylize(photo, painting, size=0, paint=PaintOptions(strength=0))
    torch.testing.assert_close(by_options.pixels, photo, atol=1e-6, rtol=0)
    overridden = stylize(photo, painting, size=0, paint=PaintOptions(strength=0), strength=1)
    assert not torch.allclose(overridden.pixels, photo, atol=0.02)


def test_masks_and_scales(there: Path, photo: Tensor, draw_painting: Callable[[int, int], Tensor]) -> None:
    mask = torch.zeros(1, 1, 72, 80)
    mask[..., :40] = 1
    files.write(there / "mask.png", mask)
    painted = stylize(photo, there / "style.png", size=0, mask=there / "mask.png", paint=PaintOptions(feather=0.0))
    torch.testing.assert_close(painted.pixels[..., 44:], photo[..., 44:], atol=1e-6, rtol=0)
    assert not torch.allclose(painted.pixels[..., :36], photo[..., :36], atol=0.02)
    styles = [there / "style.png", there / "content.png"]
    both = stylize(photo, styles, size=0, mask=[there / "mask.png", "rest"], paint=PaintOptions(feather=0.0)).pixels
    assert torch.equal(both[..., :36], painted.pixels[..., :36])
    assert not torch.allclose(both[..., 44:], photo[..., 44:], atol=0.02)
    large = draw_painting(400, 500)
    plain, scaled = (stylize(photo, large, size=160, style_scale=scale).pixels for scale in (1.0, 0.5))
    assert not torch.equal(plain, scaled)
    with pytest.raises(OptionError, match="`style_scale` has 3 values; one is needed, or one for each style: 1"):
        stylize(photo, there / "style.png", style_scale=[1.0, 2.0, 3.0])


def test_a_preset_is_overridden(photo: Tensor, painting: Tensor) -> None:
    steps: list[Step] = []
    quick = OptimiseOptions(steps=(2,), scales=1)
    stylize(photo, painting, preset="draft", size=48, optimise=quick, progress=steps.append)
    assert [step.index for step in steps] == [1, 2]
    with pytest.raises(UnknownName, match=r"unknown preset 'drft'. Did you mean 'draft'"):
        stylize(photo, painting, preset="drft")


def test_the_seed_is_that_of_the_method(there: Path) -> None:
    content, style = there / "content.png", there / "style.png"
    one_pass = stylize(content, style, size=48, seed=7)
    assert one_pass.recipe is not None
    assert one_pass.recipe.job.fast.noise_seed == 7
    quick = OptimiseOptions(steps=(1,), scales=1, init="noise")
    moved = [stylize(content, style, method="optimise", size=48, seed=seed, optimise=quick).pixels for seed in (1, 2)]
    assert not torch.equal(*moved)


def test_the_device_is_recorded(there: Path) -> None:
    painted = stylize(there / "content.png", there / "style.png", size=48, device="cpu")
    assert painted.recipe is not None
    assert painted.recipe.made_with["device"] == "cpu"
    with pytest.raises(OptionError, match="`device`"):
        stylize(there / "content.png", there / "style.png", device="gpu")


def test_networks_stay_in_memory(photo: Tensor, painting: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    stylize(photo, painting, **SMALL)
    monkeypatch.setattr(ArbitraryMethod, "load", None)
    stylize(photo.flip(3), painting, **SMALL)


def test_a_painting_shows_itself(photo: Tensor, painting: Tensor) -> None:
    painted = stylize(photo, painting, **SMALL)
    assert repr(painted) == "Painting(48×43 px)"
    assert painted._repr_png_().startswith(b"\x89PNG")


def test_the_package_lists_its_names() -> None:
    assert {"stylize", "Painting", "open_session", "__version__"} <= set(dir(impasto))
    assert set(dir(impasto)) <= {*api.__all__, "__version__"}
    assert (Path(impasto.__file__).parent / "py.typed").is_file()
    done = subprocess.run(
        [sys.executable, "-c", "import impasto, sys; print('torch' in sys.modules)"], capture_output=True, text=True
    )
    assert done.stdout == "False\n"
