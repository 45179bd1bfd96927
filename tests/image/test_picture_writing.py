"""Writing: depth, alpha, rounding, tags, refusals."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageCms
from torch import Tensor

from impasto.core.errors import ImageError, ImageUnwritable, NotFinite, OptionError, UnknownName
from impasto.image.files import check_writable, pictures_in, read, write
from impasto.image.formats import FORMATS

WRITABLE = [suffix for kind in FORMATS if kind.bits for suffix in kind.suffixes]
EXACT = [(".png", 8), (".png", 16), (".tif", 8), (".tif", 16), (".bmp", 8)]


def smooth(height: int = 24, width: int = 36) -> Tensor:
    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    return torch.stack([x, y, (x + y) / 2])[None]


def noise(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("suffix", "bits"), EXACT)
def test_lossless_formats_are_within_half_a_level(tmp_path: Path, suffix: str, bits: int) -> None:
    image = noise(1, 3, 20, 30)
    path = tmp_path / f"a{suffix}"
    write(path, image, bits=bits)
    picture = read(path)
    assert picture.bits == bits
    assert (picture.pixels - image).abs().max() <= 0.5 / (2**bits - 1) + 1e-7
    write(path, picture.pixels, bits=bits)
    assert torch.equal(read(path).pixels, picture.pixels), "a second round trip changes nothing"


@pytest.mark.parametrize(("suffix", "bits"), EXACT[:4])
def test_sixteen_bit_alpha_comes_back_and_keeps_hidden_colour(tmp_path: Path, suffix: str, bits: int) -> None:
    image = (noise(1, 3, 9, 11) * (2**bits - 1)).round() / (2**bits - 1)
    alpha = torch.zeros(1, 1, 9, 11)
    alpha[..., 4:] = (noise(1, 1, 9, 7) * (2**bits - 1)).round() / (2**bits - 1)
    write(tmp_path / f"a{suffix}", image, alpha=alpha, bits=bits)
    picture = read(tmp_path / f"a{suffix}")
    assert picture.alpha is not None
    assert torch.allclose(picture.alpha, alpha, atol=1e-7)
    assert torch.allclose(picture.pixels, image, atol=1e-7)


@pytest.mark.parametrize("channels", [3, 4])
def test_a_sixteen_bit_png_of_ours_is_read_by_pillow(tmp_path: Path, channels: int) -> None:
    image = noise(1, channels, 9, 11)
    write(tmp_path / "a.png", image[:, :3], alpha=image[:, 3:] if channels == 4 else None, bits=16)
    with Image.open(tmp_path / "a.png") as opened:
        opened.verify()
    with Image.open(tmp_path / "a.png") as opened:
        found = torch.from_numpy(np.array(opened)).permute(2, 0, 1)[None] / 255
    assert (found - image).abs().max() < 1.01 / 255


@pytest.mark.parametrize("suffix", WRITABLE)
def test_every_suffix_is_written_and_read_back_nearly(tmp_path: Path, suffix: str) -> None:
    write(tmp_path / f"a{suffix}", smooth())
    assert (read(tmp_path / f"a{suffix}").pixels - smooth()).abs().mean() < 0.02
    write(tmp_path / f"grey{suffix.upper()}", smooth()[:, :1])
    assert (read(tmp_path / f"grey{suffix.upper()}").pixels - smooth()[:, :1]).abs().mean() < 0.02
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


@pytest.mark.parametrize("suffix", WRITABLE)
def test_one_pixel_is_written(tmp_path: Path, suffix: str) -> None:
    write(tmp_path / f"a{suffix}", torch.full((1, 3, 1, 1), 0.5))
    assert read(tmp_path / f"a{suffix}").size_hw == (1, 1)


@pytest.mark.parametrize("suffix", [".jpg", ".bmp"])
def test_without_alpha_the_picture_lies_over_white(tmp_path: Path, suffix: str) -> None:
    alpha = torch.zeros(1, 1, 16, 16)
    alpha[..., 8:] = 1
    write(tmp_path / f"a{suffix}", torch.zeros(1, 3, 16, 16), alpha=alpha)
    picture = read(tmp_path / f"a{suffix}")
    assert picture.alpha is None
    assert picture.pixels[..., :8].min() > 0.99
    assert picture.pixels[..., 8:].max() < 0.01


@pytest.mark.parametrize("suffix", [".webp", ".avif", ".gif"])
def test_lossy_formats_keep_alpha(tmp_path: Path, suffix: str) -> None:
    alpha = torch.zeros(1, 1, 16, 16)
    alpha[..., 8:] = 1
    write(tmp_path / f"a{suffix}", smooth(16, 16), alpha=alpha)
    found = read(tmp_path / f"a{suffix}").alpha
    assert found is not None
    assert (found - alpha).abs().max() < 0.05


@pytest.mark.parametrize(("suffix", "bits"), [(".jpg", 8), (".webp", 8), (".avif", 8), (".tif", 8), (".tif", 16)])
def test_files_are_tagged_srgb(tmp_path: Path, suffix: str, bits: int) -> None:
    write(tmp_path / f"a{suffix}", smooth(), bits=bits)
    if suffix == ".tif":
        with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
            icc = tiff.pages.first.tags[34675].value
    else:
        with Image.open(tmp_path / f"a{suffix}") as opened:
            icc = opened.info["icc_profile"]
    assert "sRGB" in ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(icc)))


@pytest.mark.parametrize("bits", [8, 16])
def test_png_is_tagged_srgb(tmp_path: Path, bits: int) -> None:
    write(tmp_path / "a.png", smooth(), bits=bits)
    with Image.open(tmp_path / "a.png") as opened:
        assert opened.info["srgb"] == 0


@pytest.mark.parametrize(("suffix", "bits"), [*[(s, 8) for s in WRITABLE], (".png", 16), (".tif", 16)])
def test_the_same_picture_gives_the_same_bytes(tmp_path: Path, suffix: str, bits: int) -> None:
    for name in "ab":
        write(tmp_path / f"{name}{suffix}", smooth(), bits=bits, notes={"impasto": "{}"})
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_quality_changes_the_size_and_has_a_range(tmp_path: Path) -> None:
    for suffix in (".jpg", ".webp", ".avif"):
        for quality in (20, 95):
            write(tmp_path / f"{quality}{suffix}", noise(1, 3, 32, 32), quality=quality)
        assert (tmp_path / f"20{suffix}").stat().st_size < (tmp_path / f"95{suffix}").stat().st_size
    with pytest.raises(OptionError, match="between 1 and 100"):
        write(tmp_path / "a.jpg", smooth(), quality=0)


def test_folders_are_made_and_gradients_ignored(tmp_path: Path) -> None:
    write(tmp_path / "new" / "folder" / "a.png", smooth().requires_grad_())
    assert read(tmp_path / "new" / "folder" / "a.png").size_hw == (24, 36)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_values_that_are_not_finite_leave_the_old_file(tmp_path: Path, bad: float) -> None:
    path = tmp_path / "a.png"
    write(path, smooth())
    before = path.read_bytes()
    broken = smooth()
    broken[0, 0, 0, 0] = bad
    with pytest.raises(NotFinite):
        write(path, broken)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("call", [lambda p, b: check_writable(p, b), lambda p, b: write(p, smooth(), bits=b)])
def test_impossible_files_are_refused_before_and_at_writing(tmp_path: Path, call: object) -> None:
    assert callable(call)
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").touch()
    for name, bits, kind, message in [
        ("a.xyz", 8, UnknownName, r"'\.xyz'.*\.png"),
        ("a", 8, UnknownName, r"\.png"),
        ("a.heic", 8, UnknownName, r"'\.heic'.*\.avif"),
        ("a.jpg", 16, OptionError, r"16 bits.*use 8, or \.png, \.tif, \.tiff"),
        ("a.png", 12, OptionError, "12 bits"),
        ("folder.png", 8, ImageUnwritable, "is a folder"),
        ("file/a.png", 8, ImageUnwritable, "is a file"),
    ]:
        with pytest.raises(kind, match=message):
            call(tmp_path / name, bits)
    check_writable(tmp_path / "not" / "yet" / "a.PNG", 16)


def test_a_read_only_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(ImageUnwritable, match="may not be written"):
        check_writable(tmp_path / "a.png")


def test_a_size_beyond_the_format_is_refused(tmp_path: Path) -> None:
    check_writable(tmp_path / "a.webp", size_hw=(16_383, 5))
    with pytest.raises(ImageUnwritable, match=r"5×16384 px; WEBP ends at 16383\. Use \.png"):
        check_writable(tmp_path / "a.webp", size_hw=(16_384, 5))
    with pytest.raises(ImageUnwritable, match="WEBP"):
        write(tmp_path / "a.webp", torch.zeros(1, 1, 16_384, 1))


def test_a_disk_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ImageUnwritable, match=r"a\.png cannot be written: No space left"):
        write(tmp_path / "a.png", smooth())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shape", [(3, 4, 4), (2, 3, 4, 4), (1, 2, 4, 4), (1, 3, 0, 4)])
def test_shapes_that_are_no_picture_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(ImageError, match=r"\(1, 3, h, w\) is needed"):
        write(tmp_path / "a.png", torch.zeros(*shape))


def test_alpha_of_another_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="same size"):
        write(tmp_path / "a.png", smooth(), alpha=torch.zeros(1, 1, 3, 3))


def test_pictures_are_listed_sorted_without_hidden_ones(tmp_path: Path) -> None:
    for name in ["b.PNG", "a.jpg", "sub/c.tiff", ".hidden.png", ".git/d.png", "notes.txt", "sub/.e.png", "f.heic"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    names = [p.relative_to(tmp_path).as_posix() for p in pictures_in(tmp_path)]
    assert names == ["a.jpg", "b.PNG", "f.heic", "sub/c.tiff"]
    assert [p.name for p in pictures_in(tmp_path, recursive=False)] == ["a.jpg", "b.PNG", "f.heic"]
    hidden_home = tmp_path / ".git"
    assert [p.name for p in pictures_in(hidden_home)] == ["d.png"], "a hidden folder that is asked for is read"


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    for name, found in [("none", "does not exist"), ("a.png", "is a file")]:
        with pytest.raises(ImageError, match=found):
            pictures_in(tmp_path / name)
