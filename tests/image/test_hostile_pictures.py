"""Pictures made to exhaust memory, to hang, or to be read wrongly."""

from __future__ import annotations

import contextlib
import os
import struct
import threading
import tracemalloc
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, PngImagePlugin
from test_profiles import P3, SRGB_CURVE, parametric, rgb_profile

from impasto.core.errors import ImageError, ImageTooLarge, ImageUnreadable
from impasto.image import decoding
from impasto.image.files import Picture, read, write

Array = np.ndarray


def noise(*shape: int, bits: int = 8) -> Array:
    return np.random.default_rng(0).integers(1, 2**bits, shape, dtype=np.uint8 if bits == 8 else np.uint16)


def levels(picture: Picture) -> Array:
    return (picture.pixels[0].permute(1, 2, 0).double() * (2**picture.bits - 1)).round().int().numpy()


def alpha_levels(picture: Picture) -> list[list[int]]:
    assert picture.alpha is not None
    rounded: list[list[int]] = (picture.alpha[0, 0].double() * (2**picture.bits - 1)).round().int().tolist()
    return rounded


def overwrite(path: Path, tag: int, value: int) -> None:
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        tiff.pages[0].tags[tag].overwrite(value)


def peak_bytes(action: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# Bombs


def test_layers_of_depth_are_refused(tmp_path: Path) -> None:
    for dtype in (np.uint8, np.uint16):
        tifffile.imwrite(tmp_path / "a.tif", np.ones((4, 16, 16, 3), dtype), photometric="rgb", volumetric=True,
                         tile=(16, 16, 16))  # fmt: skip
        with pytest.raises(ImageUnreadable, match="4 layers"):
            read(tmp_path / "a.tif")


def test_thousands_of_samples_a_pixel_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.ones((4, 4, 3000), np.uint16), photometric="rgb", planarconfig="contig")
    with pytest.raises(ImageUnreadable, match="3000 samples a pixel; 1 layer and at most 8"):
        read(tmp_path / "a.tif")


def test_memory_is_bounded_by_the_limit_of_pixels(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.ones((10, 10, 8), np.float64), photometric="rgb")
    with pytest.raises(ImageTooLarge, match="of memory"):
        read(tmp_path / "a.tif", max_pixels=100)


def test_a_deflate_bomb_behind_a_small_picture_is_refused_unread(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", noise(100, 100, 3, bits=16), photometric="rgb", compression="zlib")
    bomb = zlib.compress(bytes(200_000_000))
    with (tmp_path / "a.tif").open("ab") as file:
        offset = file.tell()
        file.write(bomb)
    for tag, value in ((273, offset), (279, len(bomb)), (278, 100)):
        overwrite(tmp_path / "a.tif", tag, value)

    def refused() -> None:
        with pytest.raises(ImageTooLarge, match="decompression bomb"):
            read(tmp_path / "a.tif")

    assert peak_bytes(refused) < 30_000_000


def test_a_width_that_is_a_list_is_refused_at_once(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", noise(20, 30, 3), photometric="rgb")
    data = (tmp_path / "a.tif").read_bytes()
    width, height = struct.pack("<HHI", 256, 4, 1), struct.pack("<HHII", 257, 4, 1, 20)
    assert width in data
    assert height in data
    data = data.replace(height, struct.pack("<HHII", 257, 4, 1, 10_000_000))
    (tmp_path / "a.tif").write_bytes(data.replace(width, struct.pack("<HHI", 256, 4, 30)))

    def refused() -> None:
        with pytest.raises(ImageUnreadable, match="damaged TIFF header"):
            read(tmp_path / "a.tif")

    assert peak_bytes(refused) < 30_000_000


def test_a_profile_that_is_a_number_is_ignored(tmp_path: Path) -> None:
    samples, tag = noise(20, 30, 3, bits=16), 34675
    tifffile.imwrite(tmp_path / "a.tif", samples, photometric="rgb", extratags=[(65_000, "I", 1, 2**31, True)])
    data = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(data.replace(struct.pack("<HHI", 65_000, 4, 1), struct.pack("<HHI", tag, 4, 1)))
    assert peak_bytes(lambda: read(tmp_path / "a.tif")) < 30_000_000
    assert np.array_equal(levels(read(tmp_path / "a.tif")), samples)


def test_large_strips_that_hold_what_they_should_are_read(tmp_path: Path) -> None:
    """Those that the check for bombs inflates: large, and nothing too much in them."""
    samples = noise(200, 100, 3, bits=16)
    tifffile.imwrite(tmp_path / "a.tif", samples, photometric="rgb", compression="zlib", rowsperstrip=200)
    assert (tmp_path / "a.tif").stat().st_size * 1032 > 32 << 20
    assert np.array_equal(levels(read(tmp_path / "a.tif")), samples)


def test_the_bomb_message_names_no_limit_that_cannot_be_raised(tmp_path: Path) -> None:
    Image.new("L", (20, 10)).save(tmp_path / "a.png")
    with pytest.raises(ImageTooLarge, match=r"at most 0\.0001 megapixels are read\. Shrink it first\.$"):
        read(tmp_path / "a.png", max_pixels=100)


@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_pillows_own_limit_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # above it a warning, above twice of it an error
    samples = noise(30, 40, 3)
    Image.fromarray(samples).save(tmp_path / f"a{suffix}")
    assert np.array_equal(levels(read(tmp_path / f"a{suffix}")), samples)
    assert Image.MAX_IMAGE_PIXELS == 100


# Files that are not files


def test_pipes_and_devices_are_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    for path in (tmp_path / "pipe.png", Path("/dev/zero")):
        with pytest.raises(ImageUnreadable, match="cannot be read twice; save the picture to a file first"):
            within_seconds(20, lambda path=path: read(path))


def within_seconds(limit: float, action: Callable[[], object]) -> None:
    """Run `action` in a thread; its error is raised here, and waiting too long is an error."""
    errors: list[BaseException] = [TimeoutError()]

    def run() -> None:
        try:
            action()
            errors.clear()
        except BaseException as error:
            errors[:] = [error]

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(limit)
    for error in errors:
        raise error


def test_a_shell_pipe_is_refused_as_one(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    reading, writing = os.pipe()
    try:
        os.write(writing, (tmp_path / "a.png").read_bytes())
        os.close(writing)
        with pytest.raises(ImageUnreadable, match="is a pipe"):
            read(f"/dev/fd/{reading}")
    finally:
        os.close(reading)


def test_names_that_are_not_utf8_are_read_written_and_named(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png"))
    write(path, torch.zeros(1, 3, 4, 4))
    assert read(path).size_hw == (4, 4)
    path.write_bytes(b"no picture")
    with pytest.raises(ImageUnreadable) as caught:
        read(path)
    assert r"caf\udce9.png is not a picture" in str(caught.value)
    str(caught.value).encode()


# Missing parts


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("rows_per_strip", [10, 40])
@pytest.mark.parametrize("one_strip", [False, True])
def test_a_height_without_its_rows_is_refused(
    tmp_path: Path, dtype: type, compression: str | None, rows_per_strip: int, one_strip: bool
) -> None:
    path, samples = tmp_path / "a.tif", noise(40, 30, 3).astype(dtype)
    tifffile.imwrite(path, samples, photometric="rgb", compression=compression, rowsperstrip=rows_per_strip)
    with path.open("ab") as file:
        file.write(bytes(40_000))  # so that the file is long enough for what it claims
    assert read(path).size_hw == (40, 30)
    overwrite(path, 257, 80)
    if one_strip:
        overwrite(path, 278, 80 * rows_per_strip // 40)
    with pytest.raises(ImageUnreadable):
        read(path)


def test_c_libraries_print_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(noise(40, 30, 3)).save(tmp_path / "a.tif", compression="tiff_lzw")
    data = (tmp_path / "a.tif").read_bytes()
    random = np.random.default_rng(0)
    for _ in range(40):
        damaged = bytearray(data)
        for place in random.integers(4, len(data), 3):
            damaged[place] = random.integers(256)
        (tmp_path / "b.tif").write_bytes(damaged)
        with contextlib.suppress(ImageError):
            read(tmp_path / "b.tif")
    os.write(2, b"still here\n")
    captured = capfd.readouterr()
    assert captured.err == "still here\n"
    assert captured.out == ""


def test_damaged_exif_is_left_out_without_a_warning(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[306] = "2026:01:02 03:04:05"
    Image.new("RGB", (8, 8), "red").save(tmp_path / "a.webp", exif=exif.tobytes()[:-24], lossless=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert read(tmp_path / "a.webp").exif == {}
    assert caught == []


def test_a_process_without_stderr_still_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(noise(40, 30, 3)).save(tmp_path / "a.tif", compression="tiff_lzw")
    monkeypatch.setattr(decoding, "_STDERR", 10_000)
    assert read(tmp_path / "a.tif").size_hw == (40, 30)


# Read wrongly


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_a_transparent_grey_of_few_bits_becomes_alpha(tmp_path: Path, bits: int) -> None:
    top = 2**bits - 1
    header = struct.pack(">IIBBBBB", 2, 1, bits, 0, 0, 0, 0)
    row = bytes([0, (top << (8 - bits)) & 0xFF])  # the greatest grey, then black
    body = chunk(b"IHDR", header) + chunk(b"tRNS", struct.pack(">H", top))
    body += chunk(b"IDAT", zlib.compress(row)) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    picture = read(tmp_path / "a.png")
    assert alpha_levels(picture) == [[0, 255]]
    assert levels(picture)[0, :, 0].tolist() == [255, 0]


def chunk(name: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")


def test_alpha_may_be_the_second_extra_sample(tmp_path: Path) -> None:
    samples = noise(5, 6, 5, bits=16)
    tifffile.imwrite(tmp_path / "a.tif", samples, photometric="rgb", extrasamples=["unspecified", "unassalpha"])
    picture = read(tmp_path / "a.tif")
    assert np.array_equal(levels(picture), samples[..., :3])
    assert alpha_levels(picture) == samples[..., 4].tolist()


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_thumbnail_before_the_picture_is_passed_over(tmp_path: Path, bits: int, compression: str | None) -> None:
    thumbnail, whole = noise(5, 6, 3, bits=bits), noise(20, 24, 3, bits=bits)
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        tiff.write(thumbnail, photometric="rgb", subfiletype=1, compression=compression)
        tiff.write(whole, photometric="rgb", compression=compression)
    assert np.array_equal(levels(read(tmp_path / "a.tif")), whole)
    tifffile.imwrite(tmp_path / "b.tif", thumbnail, photometric="rgb", subfiletype=1)
    assert np.array_equal(levels(read(tmp_path / "b.tif")), thumbnail), "the only page is the picture"


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA"])
def test_a_png_of_linear_light_is_converted(tmp_path: Path, mode: str) -> None:
    plain = Image.new("RGB", (4, 4), (55, 55, 55))  # 55 / 255 of the light is level 128 of sRGB
    plain = plain.quantize() if mode == "P" else plain.convert(mode)
    for gamma, expected in ((1.0, 128), (1 / 2.2, 55), (0.0, 55), (1e9, 55)):
        info = PngImagePlugin.PngInfo()
        info.add(b"gAMA", struct.pack(">I", min(round(gamma * 100_000), 2**32 - 1)))
        plain.save(tmp_path / "a.png", pnginfo=info)
        assert np.abs(levels(read(tmp_path / "a.png")) - expected).max() <= 1, gamma


def test_linear_light_keeps_sixteen_bits_and_gives_way_to_a_profile(tmp_path: Path) -> None:
    write(tmp_path / "a.png", torch.full((1, 3, 2, 2), 0.2), bits=16)
    data = (tmp_path / "a.png").read_bytes()
    gamma = chunk(b"gAMA", struct.pack(">I", 100_000))
    (tmp_path / "b.png").write_bytes(data[:33] + gamma + data[33:])
    assert torch.allclose(read(tmp_path / "b.png").pixels, torch.tensor(0.2), atol=1e-4), "the sRGB chunk comes first"
    linear = data.replace(chunk(b"sRGB", b"\0"), gamma)
    (tmp_path / "c.png").write_bytes(linear)
    picture = read(tmp_path / "c.png")
    assert picture.bits == 16
    assert torch.allclose(picture.pixels, torch.tensor(1.055 * 0.2 ** (1 / 2.4) - 0.055), atol=1e-4)


UNDEFINED = parametric(4, -1.5, 1.0, -0.5, 1.0, 0.0, 0.0, 0.0)
"""A curve that divides by zero, and takes roots of negative numbers."""


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_profile_whose_curve_is_undefined_is_ignored(tmp_path: Path, suffix: str) -> None:
    samples = np.tile(np.linspace(0, 65535, 50).astype(np.uint16)[None, :, None], (2, 1, 3))
    icc = rgb_profile(P3, UNDEFINED)
    if suffix == ".tif":
        tifffile.imwrite(tmp_path / "a.tif", samples, photometric="rgb", iccprofile=icc)
    else:
        write(tmp_path / "a.png", torch.from_numpy(samples / 65535).permute(2, 0, 1)[None].float(), bits=16)
        data = (tmp_path / "a.png").read_bytes()
        tag = chunk(b"iCCP", b"icc\0\0" + zlib.compress(icc))
        (tmp_path / "a.png").write_bytes(data.replace(chunk(b"sRGB", b"\0"), tag))
    picture = read(tmp_path / f"a{suffix}")
    assert picture.bits == 16
    assert np.array_equal(levels(picture), samples)


@pytest.mark.parametrize("letters", [b"\xff\xfe\xfd\xfc", b"rgb ", b"R\0\0B"])
@pytest.mark.parametrize("bits", [8, 16])
def test_a_profile_of_odd_letters_is_ignored(tmp_path: Path, letters: bytes, bits: int) -> None:
    icc = bytearray(rgb_profile(P3, SRGB_CURVE))
    icc[16:20] = letters
    samples = noise(4, 5, 3, bits=bits)
    tifffile.imwrite(tmp_path / "a.tif", samples, photometric="rgb", iccprofile=bytes(icc))
    assert np.array_equal(levels(read(tmp_path / "a.tif")), samples)
