"""ICC profiles to sRGB, at 8 and at 16 bits."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageCms

from impasto.image.files import read
from impasto.image.profiles import srgb_floats, srgb_profile

P3 = [(0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407)]
SRGB = [(0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410)]


def fixed(*values: float) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(v * 65536) for v in values))


def gamma_curve(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)


def table_curve(gamma: float, count: int = 256) -> bytes:
    table = (np.linspace(0, 1, count) ** gamma * 65535).round().astype(">u2").tobytes()
    return b"curv\0\0\0\0" + struct.pack(">I", count) + table + bytes(-len(table) % 4)


def parametric(kind: int, *numbers: float) -> bytes:
    return b"para\0\0\0\0" + struct.pack(">HH", kind, 0) + fixed(*numbers)


SRGB_CURVE = parametric(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def profile(colours: bytes, tags: dict[bytes, bytes], connection: bytes = b"XYZ ") -> bytes:
    """A display profile, version 4."""
    xyz = b"XYZ \0\0\0\0"
    text = "test".encode("utf-16-be")
    name = b"mluc\0\0\0\0" + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(text), 28) + text
    tags = {b"desc": name, b"cprt": name, b"wtpt": xyz + fixed(0.9642, 1, 0.8249), **tags}
    offset, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for key, data in tags.items():
        table += struct.pack(">4sII", key, offset + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    header = struct.pack(">I4sI4s4s4s6H4s", offset + len(body), b"lcms", 0x04300000, b"mntr", colours, connection,
                         2020, 1, 1, 0, 0, 0, b"acsp")  # fmt: skip
    header = header.ljust(68, b"\0") + fixed(0.9642, 1, 0.8249)
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def rgb_profile(primaries: list[tuple[float, float, float]], curve: bytes) -> bytes:
    return profile(b"RGB ", matrix_tags(primaries, curve))


def matrix_tags(primaries: list[tuple[float, float, float]], curve: bytes) -> dict[bytes, bytes]:
    names = (b"rXYZ", b"gXYZ", b"bXYZ")
    colorants = {name: b"XYZ \0\0\0\0" + fixed(*xyz) for name, xyz in zip(names, primaries, strict=True)}
    return {**colorants, **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)}


def grey_profile(curve: bytes) -> bytes:
    return profile(b"GRAY", {b"kTRC": curve})


def colours() -> np.ndarray:
    steps = np.linspace(0, 255, 6).astype(np.uint8)
    return np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(12, 18, 3)


def levels(path: Path) -> np.ndarray:
    return (read(path).pixels[0].permute(1, 2, 0) * 255).round().int().numpy()


def by_littlecms(samples: np.ndarray, icc: bytes) -> np.ndarray:
    image = Image.fromarray(samples)
    source = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    result = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), 1, outputMode="RGB")
    return np.asarray(result).astype(int)


CURVES = {
    "gamma": gamma_curve(2.2),
    "linear": b"curv\0\0\0\0" + struct.pack(">I", 0),
    "table": table_curve(1.8),
    "para 0": parametric(0, 2.2),
    "para 1": parametric(1, 2.2, 0.95, 0.05),
    "para 2": parametric(2, 2.2, 0.9, 0.05, 0.02),
    "para 3": SRGB_CURVE,
    "para 4": parametric(4, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045, 0.0, 0.0),
}


def test_a_wide_gamut_makes_colours_stronger(tmp_path: Path) -> None:
    muted = Image.new("RGB", (4, 4), (180, 100, 100))
    muted.save(tmp_path / "p3.png", icc_profile=rgb_profile(P3, SRGB_CURVE))
    red, green, _ = levels(tmp_path / "p3.png")[0, 0]
    assert red > 185
    assert green < 100
    Image.new("RGB", (4, 4), (120, 120, 120)).save(tmp_path / "grey.png", icc_profile=rgb_profile(P3, SRGB_CURVE))
    assert np.abs(levels(tmp_path / "grey.png") - 120).max() <= 1


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_eight_bits_go_through_littlecms(tmp_path: Path, suffix: str) -> None:
    icc = rgb_profile(P3, gamma_curve(1.8))
    settings = {"lossless": True} if suffix == ".webp" else {}
    Image.fromarray(colours()).save(tmp_path / f"a{suffix}", icc_profile=icc, **settings)
    assert np.abs(levels(tmp_path / f"a{suffix}") - by_littlecms(colours(), icc)).max() <= 2


@pytest.mark.parametrize("curve", CURVES.values(), ids=CURVES.keys())
def test_sixteen_bits_agree_with_littlecms(tmp_path: Path, curve: bytes) -> None:
    icc = rgb_profile(P3, curve)
    tifffile.imwrite(tmp_path / "a.tif", colours().astype(np.uint16) * 257, photometric="rgb", iccprofile=icc)
    assert read(tmp_path / "a.tif").bits == 16
    assert np.abs(levels(tmp_path / "a.tif") - by_littlecms(colours(), icc)).max() <= 1


def test_sixteen_bits_stay_smooth_through_a_profile(tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(20_000, 20_400, 100).astype(np.uint16)[None, :, None], (2, 1, 3))
    tifffile.imwrite(tmp_path / "a.tif", ramp, photometric="rgb", iccprofile=rgb_profile(P3, gamma_curve(1.8)))
    steps = read(tmp_path / "a.tif").pixels[0, 0, 0].diff()
    assert (steps > 0).all()
    assert steps.max() < 1 / 4096


@pytest.mark.parametrize("curve", [gamma_curve(1.8), table_curve(2.6)])
def test_grey_profiles(tmp_path: Path, curve: bytes) -> None:
    ramp = np.tile(np.arange(256, dtype=np.uint8), (2, 1))
    icc = grey_profile(curve)
    expected = by_littlecms(ramp, icc)
    assert np.abs(expected[..., 0] - ramp).max() > 5
    Image.fromarray(ramp).save(tmp_path / "a.png", icc_profile=icc)
    assert np.abs(levels(tmp_path / "a.png") - expected).max() <= 2
    tifffile.imwrite(tmp_path / "a.tif", ramp.astype(np.uint16) * 257, photometric="minisblack", iccprofile=icc)
    assert np.abs(levels(tmp_path / "a.tif") - expected).max() <= 1


def test_alpha_is_not_colour_managed(tmp_path: Path) -> None:
    image = Image.fromarray(colours())
    image.putalpha(Image.fromarray(np.tile(np.arange(18, dtype=np.uint8) * 15, (12, 1))))
    image.save(tmp_path / "a.png", icc_profile=rgb_profile(P3, gamma_curve(1.8)))
    alpha = read(tmp_path / "a.png").alpha
    assert alpha is not None
    assert torch.equal((alpha[0, 0, 0] * 255).round(), torch.arange(18) * 15.0)


@pytest.mark.parametrize("icc", [srgb_profile(), rgb_profile(SRGB, SRGB_CURVE)], ids=["ours", "another"])
def test_an_srgb_profile_changes_nothing(tmp_path: Path, icc: bytes) -> None:
    Image.fromarray(colours()).save(tmp_path / "a.png", icc_profile=icc)
    assert np.array_equal(levels(tmp_path / "a.png"), colours())
    deep = np.random.default_rng(0).integers(0, 65536, (5, 6, 3), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", deep, photometric="rgb", iccprofile=icc)
    assert np.array_equal((read(tmp_path / "a.tif").pixels[0].permute(1, 2, 0) * 65535).round().numpy(), deep)


BROKEN = {
    "rubbish": b"not a profile at all" * 20,
    "cut": rgb_profile(P3, SRGB_CURVE)[:200],
    "grey on colour": grey_profile(gamma_curve(1.8)),
    "without curves": profile(b"RGB ", {}),
    "Lab": ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes(),
}


@pytest.mark.parametrize("icc", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_or_unfit_profile_is_ignored(tmp_path: Path, icc: bytes) -> None:
    for name in ("a.png", "a.tif"):
        Image.fromarray(colours()).save(tmp_path / name, icc_profile=icc)
        assert np.array_equal(levels(tmp_path / name), colours())
    tifffile.imwrite(tmp_path / "b.tif", colours().astype(np.uint16) * 257, photometric="rgb", iccprofile=icc)
    assert np.array_equal(levels(tmp_path / "b.tif"), colours())


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_cmyk_reads_with_and_without_a_profile_that_fits(tmp_path: Path, suffix: str) -> None:
    image = Image.new("CMYK", (8, 8), (0, 0, 0, 0))
    image.paste((0, 255, 255, 0), (4, 0, 8, 8))
    for icc in (None, rgb_profile(P3, SRGB_CURVE), b"rubbish"):
        image.save(tmp_path / f"a{suffix}", icc_profile=icc)
        found = levels(tmp_path / f"a{suffix}")
        assert found[:, :3].min() > 245
        assert found[4, 6, 0] > 230
        assert found[4, 6, 1] < 25


def test_a_grey_picture_with_a_colour_profile_stays_grey(tmp_path: Path) -> None:
    ramp = np.tile(np.arange(256, dtype=np.uint8), (2, 1))
    Image.fromarray(ramp).save(tmp_path / "a.png", icc_profile=rgb_profile(P3, gamma_curve(1.8)))
    found = levels(tmp_path / "a.png")
    assert np.abs(found - found[..., :1]).max() <= 1
    assert found[0, 128, 0] > 135


def test_a_profile_without_matrix_falls_back_to_eight_bits(tmp_path: Path) -> None:
    with_table = profile(b"RGB ", {**matrix_tags(P3, gamma_curve(1.8)), b"A2B0": identity_table()})
    assert srgb_floats(np.full((1, 1, 3), 0.5, dtype=np.float32), with_table) is None
    deep = np.full((4, 4, 3), 30_000, dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", deep, photometric="rgb", iccprofile=with_table)
    picture = read(tmp_path / "a.tif")
    assert picture.bits == 8
    assert picture.pixels.isfinite().all()


def identity_table() -> bytes:
    """An `mft2` table that hands RGB on as XYZ."""
    curve = np.array([0, 65535], dtype=">u2").tobytes() * 3
    grid = np.stack(np.meshgrid([0, 32768], [0, 32768], [0, 32768], indexing="ij"), axis=-1).astype(">u2").tobytes()
    identity = fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    return b"mft2\0\0\0\0" + bytes([3, 3, 2, 0]) + identity + struct.pack(">HH", 2, 2) + curve + grid + curve


def test_our_profile_has_no_time_in_it() -> None:
    fresh = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert srgb_profile()[24:36] == struct.pack(">6H", 2000, 1, 1, 0, 0, 0)
    assert len(srgb_profile()) == len(fresh)
    assert srgb_profile()[128:] == fresh[128:]
