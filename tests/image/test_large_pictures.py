"""Very large pictures: half precision and strips give what whole float32 pictures give. Here 'large' is 600 pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms
from torch import Tensor

from impasto.core.errors import NotFinite
from impasto.image import decoding, files, resize, strips
from impasto.image.colour import luminance, with_luminance_of
from impasto.image.files import read, write
from impasto.image.masks import feathered, read_mask
from impasto.image.pixels import from_bytes, halves, to_bytes
from impasto.image.resize import resized
from impasto.image.strips import LARGE_PX, by_strips


@pytest.fixture
def quickly_large(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (decoding, files, resize):
        monkeypatch.setattr(module, "LARGE_PX", 600)
    monkeypatch.setattr(strips, "STRIP_PX", 100)


def noise(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def test_strips_cover_every_row_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strips, "STRIP_PX", 100)
    for across in (1, 30, 99, 1000):
        rows = [row for part in strips.strips(37, across) for row in range(37)[part]]
        assert rows == list(range(37))
        assert all((part.stop - part.start) * across <= max(100, across) for part in strips.strips(37, across))


def test_halves_tell_every_level_apart() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(1, 256, 1)
    image = from_bytes(halves(levels))
    assert image.dtype == torch.float16
    assert np.array_equal(to_bytes(image)[0], levels)
    assert (image.float() - from_bytes(levels)).abs().max() < 2.5e-4


def test_half_floats_are_not_copied() -> None:
    samples = np.moveaxis(np.zeros((3, 4, 5), np.float16), 0, -1)
    from_bytes(samples).fill_(1)
    assert samples.min() == 1


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp", ".bmp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_large_picture_is_read_as_a_small_one(
    suffix: str, orientation: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = Image.fromarray((noise(23, 31, 3) * 256).byte().numpy())
    exif = image.getexif()
    exif[274] = orientation
    image.save(tmp_path / f"a{suffix}", **({} if suffix == ".bmp" else {"exif": exif}))
    small = read(tmp_path / f"a{suffix}")
    monkeypatch.setattr(decoding, "LARGE_PX", 600)
    monkeypatch.setattr(strips, "STRIP_PX", 100)
    large = read(tmp_path / f"a{suffix}")
    assert (small.pixels.dtype, large.pixels.dtype) == (torch.float32, torch.float16)
    assert large.pixels.shape == small.pixels.shape
    assert np.array_equal(to_bytes(large.pixels), to_bytes(small.pixels))


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1"])
def test_every_mode_of_large_pictures(mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = Image.fromarray((noise(31, 23, 4) * 256).byte().numpy()).convert(mode)
    image.save(tmp_path / "a.tif") if mode == "CMYK" else image.save(tmp_path / "a.png")
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    small = read(path)
    monkeypatch.setattr(decoding, "LARGE_PX", 600)
    monkeypatch.setattr(strips, "STRIP_PX", 100)
    large = read(path)
    assert np.array_equal(to_bytes(large.pixels), to_bytes(small.pixels))
    assert (large.alpha is None) == (small.alpha is None)
    if large.alpha is not None and small.alpha is not None:
        assert large.alpha.dtype == torch.float16
        assert np.array_equal(to_bytes(large.alpha), to_bytes(small.alpha))


def test_profiles_of_large_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = Image.fromarray((noise(31, 23, 3) * 256).byte().numpy())
    image = ImageCms.profileToProfile(
        image, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert image is not None
    image.save(tmp_path / "a.tif")
    small = read(tmp_path / "a.tif")
    monkeypatch.setattr(decoding, "LARGE_PX", 600)
    assert np.array_equal(to_bytes(read(tmp_path / "a.tif").pixels), to_bytes(small.pixels))


def test_sixteen_bits_stay_exact(quickly_large: None, tmp_path: Path) -> None:
    image = noise(1, 3, 31, 23)
    write(tmp_path / "a.png", image, bits=16)
    picture = read(tmp_path / "a.png")
    assert picture.pixels.dtype == torch.float32
    assert (picture.pixels - image).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("name", "bits"), [("a.png", 8), ("a.png", 16), ("a.tif", 8), ("a.tif", 16), ("a.jpg", 8), ("a.webp", 8)]
)
@pytest.mark.parametrize("alpha", [False, True])
def test_strips_write_what_the_whole_writes(
    name: str, bits: int, alpha: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = noise(1, 4, 31, 23)
    given = {"alpha": image[:, 3:] if alpha else None, "bits": bits}
    write(tmp_path / name, image[:, :3], **given)
    whole = (tmp_path / name).read_bytes()
    monkeypatch.setattr(strips, "STRIP_PX", 100)
    write(tmp_path / name, image[:, :3], **given)
    assert (tmp_path / name).read_bytes() == whole


def test_a_half_picture_is_written_and_read_back(quickly_large: None, tmp_path: Path) -> None:
    image = from_bytes(halves((noise(31, 23, 3) * 256).byte().numpy()))
    for name in ("a.png", "b.jpg"):
        write(tmp_path / name, image)
    assert torch.equal(read(tmp_path / "a.png").pixels, image)
    assert read(tmp_path / "b.jpg").size_hw == (31, 23)


def test_values_that_are_not_finite_are_counted_in_all_strips(quickly_large: None, tmp_path: Path) -> None:
    image = noise(1, 3, 31, 23)
    image[0, 0, ::30] = torch.nan
    with pytest.raises(NotFinite, match="46 NaN"):
        write(tmp_path / "a.png", image)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [(7, 9), (31, 12), (12, 31), (80, 90), (20, 29), (29, 31)])
@pytest.mark.parametrize("mode", ["bicubic", "bilinear"])
def test_half_pictures_are_resized_as_others_are(quickly_large: None, size: tuple[int, int], mode: str) -> None:
    image = from_bytes(halves((noise(29, 31, 3) * 256).byte().numpy()))
    found = resized(image, size, mode=mode)
    assert found.dtype == (torch.float16 if size[0] * size[1] > 600 else torch.float32)
    torch.testing.assert_close(found.float(), resized(image.float(), size, mode=mode), rtol=0, atol=1e-3)


def test_functions_of_pixels_by_strips(quickly_large: None) -> None:
    one, other = noise(1, 3, 31, 23), noise(1, 3, 31, 23).flip(1)
    for found, exact in (
        (luminance(one.half()), luminance(one)),
        (with_luminance_of(one.half(), other.half()), with_luminance_of(one, other)),
        (by_strips(torch.lerp, one.half(), other.half(), one[:, :1]), torch.lerp(one, other, one[:, :1])),
    ):
        assert (found.dtype, exact.dtype) == (torch.float16, torch.float32)
        torch.testing.assert_close(found.float(), exact, rtol=0, atol=2e-3)


def test_masks_of_large_pictures(quickly_large: None, tmp_path: Path) -> None:
    write(tmp_path / "a.png", noise(1, 1, 31, 23))
    mask = read_mask(tmp_path / "a.png", (31, 23))
    blurred = feathered(mask, 2.0)
    assert mask.dtype == blurred.dtype == torch.float16
    torch.testing.assert_close(blurred.float(), feathered(mask.float(), 2.0), rtol=0, atol=1e-3)


def test_what_is_large() -> None:
    assert LARGE_PX == 24_000_000  # a picture of an ordinary camera is not
