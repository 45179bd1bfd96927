"""Painting by strips: the same picture as painting it whole, in memory that hardly grows."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from moved_noise import MovedNoise
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from impasto.core.errors import OptionError
from impasto.nets import lazy, streamed
from impasto.nets.bands import band_covariances
from impasto.nets.layers import Conv, Transposed
from impasto.nets.lazy import Map, convolved, held
from impasto.nets.residual import Residual

SAME: dict[str, Any] = {"padding": "same", "eps": 1e-3, "biases": False}
KINDS: dict[str, dict[str, Any]] = {
    "johnson": {},
    "one-size": {"widths": (4,)},
    "four-sizes": {"widths": (3, 4, 5, 6), "blocks": 0},
    "zeros": {"padding": "same"},
    "transposed": {"upsampling": "transposed"},
    "tensorflow": SAME | {"upsampling": "transposed", "last_norm": True, "tanh": (150.0, 127.5)},
    "styles": {"outer_px": 3, "styles": 3},
    "skips": {"skips": True, "last_norm": True},
    "ours": {"outer_px": 3, "styles": 3, "skips": True, "recolours": True},
    "squares": {"outer_px": 3, "styles": 3, "skips": True, "recolours": True, "unshuffle": 2, "widths": (4, 5)},
    "squares-plain": {"unshuffle": 2, "widths": (4, 5), "blocks": 1, "last_norm": True},
    "skips-transposed": SAME | {"skips": True, "upsampling": "transposed"},
    "mirrored": {"padding": "zero", "upsampling": "transposed", "start_px": 16, "tanh": (150.0, 0.0)},
    "bottleneck": {"bottleneck": 3, "upsampling": "transposed"},
    "batch": {"norm": "batch", "styles": 3},
}
"""Networks as other projects have them, and as ours are."""

SIZES = ((24, 32), (27, 33), (41, 18))
ROOM = {"room_bytes": 3 << 29}
WAYS = ((0, 1), (15_000, 150), (1 << 30, 200), (1 << 30, 1 << 30))
"""Room for features in bytes, and pixels of a strip: from the least of both to the picture in one strip."""


def made(kind: str, *, seed: int = 0) -> Residual:
    torch.manual_seed(seed)
    net = Residual(**({"widths": (4, 5, 6), "blocks": 2} | KINDS[kind])).eval()
    for parameter in net.parameters():
        if parameter.ndim < 4:
            nn.init.normal_(parameter, 1, 0.3)
    for name, buffer in net.named_buffers():
        if "running" in name:
            nn.init.uniform_(buffer, 0.5, 1.5)
    if net.recolours:
        nn.init.normal_(net.last.conv.weight, 0, 0.2)
        covariances = (0.05 * torch.eye(3)).flatten().expand(net.styles, 9)
        palette = torch.cat([torch.rand(net.styles, 3), covariances], 1)
        net.get_buffer("palette").copy_(palette.view_as(net.get_buffer("palette")))
    return net


def weights_of(net: Residual) -> Tensor | None:
    return torch.tensor([[0.2, 1.1, -0.3]]) if net.styles > 1 else None


def drawn(size: tuple[int, int]) -> Tensor:
    """A picture whose upper and lower half differ: `(1, 3, h, w)`."""
    image = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(5))
    image[:, :, size[0] // 2 :] *= torch.tensor([0.1, 0.5, 0.8]).view(1, 3, 1, 1)
    return image


def whole_of(net: Residual, image: Tensor) -> Tensor:
    with torch.no_grad():
        found: Tensor = net(image, weights_of(net))
    return found


def by_strips(net: Residual, image: Tensor, **options: Any) -> Tensor:
    size = image.shape[-2], image.shape[-1]
    parts = list(net.strips(lambda a, b: image[:, :, a:b], size, style_weights=weights_of(net), **(ROOM | options)))
    assert [rows.start for rows, _ in parts] == [0, *(rows.stop for rows, _ in parts[:-1])]
    assert all(part.shape[2] == rows.stop - rows.start for rows, part in parts)
    return torch.cat([part for _, part in parts], 2)


def apart(found: Tensor, whole: Tensor) -> float:
    """The largest difference, in standard deviations of `whole`."""
    return float((found - whole).abs().max() / whole.std())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_strips_are_the_whole(kind: str, size: tuple[int, int]) -> None:
    net, image = made(kind), drawn(size)
    whole = whole_of(net, image)
    assert float(whole.std()) > 0.05
    for room_bytes, strip_px in WAYS:
        found = by_strips(net, image, room_bytes=room_bytes, strip_px=strip_px)
        assert found.dtype == torch.float32
        assert found.shape == whole.shape
        assert apart(found, whole) < 1e-4


def test_the_smallest_pictures_are_painted() -> None:
    for kind in KINDS:
        net = made(kind)
        for size in ((net.smallest_px, net.smallest_px + 6), (net.smallest_px + 9, net.smallest_px)):
            image = drawn(size)
            assert apart(by_strips(net, image, strip_px=1), whole_of(net, image)) < 1e-4


def test_moments_of_strips_would_not_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """The law can fail: with norms by the last strip's moments it does."""
    net, image = made("johnson"), drawn((41, 18))
    monkeypatch.setattr(streamed, "running_moments", lambda part, before: lazy.running_moments(part, None))
    assert apart(by_strips(net, image, strip_px=150), whole_of(net, image)) > 0.1


@pytest.mark.parametrize("room_bytes", [0, 1 << 30])
def test_rows_must_be_replaced_late(room_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where strips are thinner than what convolutions see above them, rows are read that were replaced already."""
    net, image = made("johnson"), drawn((41, 18))
    monkeypatch.setattr(streamed, "LEAST_ROWS", 1)
    found = by_strips(net, image, room_bytes=room_bytes, strip_px=1)
    if room_bytes:  # one convolution sees one row, and one strip waits
        assert apart(found, whole_of(net, image)) < 1e-4
    else:
        assert apart(found, whole_of(net, image)) > 1e-3


def test_bfloat16_is_near() -> None:
    net, image = made("ours"), drawn((41, 18))
    with torch.autocast("cpu", torch.bfloat16):
        found, whole = by_strips(net, image, strip_px=150), whole_of(net, image)
    assert found.dtype == torch.float32
    exact = whole_of(net, image)
    assert 0 < float((found - exact).abs().mean()) < 1.5 * float((whole - exact).abs().mean()) + 1e-3


def test_several_styles_need_weights() -> None:
    with pytest.raises(OptionError, match="3 styles; it needs the weight"):
        next(made("styles").strips(lambda a, b: torch.zeros(1, 3, b - a, 30), (30, 30), room_bytes=0))


def test_the_picture_is_read_by_strips() -> None:
    net, image, asked = made("ours"), drawn((200, 8)), []

    def read(start: int, stop: int) -> Tensor:
        asked.append((start, stop))
        return image[:, :, start:stop]

    list(net.strips(read, (200, 8), style_weights=weights_of(net), strip_px=160, room_bytes=0))
    assert all(0 <= start < stop <= 200 for start, stop in asked)
    assert max(stop - start for start, stop in asked) <= 20 + 16  # rows of a strip, and those seen around them
    assert {row for start, stop in asked for row in range(start, stop)} == set(range(200))


# Memory


class _Live(TorchDispatchMode):
    """The most bytes of tensors that were alive at once, and how often weights `(out, into)` were used."""

    def __init__(self) -> None:
        super().__init__()
        self.alive: list[weakref.ref[Tensor]] = []
        self.most, self.convolutions = 0, Counter[tuple[int, ...]]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.convolution.default:
            self.convolutions[tuple(args[1].shape[:2])] += 1
        values = found if isinstance(found, tuple | list) else [found]
        self.alive += [weakref.ref(value) for value in values if isinstance(value, Tensor)]
        self.alive = [ref for ref in self.alive if ref() is not None]
        storages = [value.untyped_storage() for ref in self.alive if (value := ref()) is not None]
        self.most = max(self.most, sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values()))
        return found


@contextmanager
def counted() -> Iterator[_Live]:
    with _Live() as live:
        yield live


def ones(start: int, stop: int) -> Tensor:
    return torch.ones(1, 3, stop - start, 16)


def peak(net: Residual, height: int, **options: int) -> int:
    """The most bytes beside the picture, of 16 pixels a row and 10 rows a strip."""
    with counted() as live:
        for _ in net.strips(ones, (height, 16), strip_px=160, **options):
            pass
    return live.most


@pytest.mark.parametrize("kind", ["johnson", "skips", "transposed"])
def test_only_the_smallest_features_grow_with_the_picture(kind: str) -> None:
    net = made(kind)
    low, high = (peak(net, height, room_bytes=0) for height in (40, 120))
    smallest = 6 * 4 * (120 - 40) // 4 * 4  # channels, width, rows, bytes
    assert high - low == pytest.approx(smallest, rel=0.05)


def test_what_there_is_room_for_is_kept() -> None:
    net = made("skips")
    assert peak(net, 120, room_bytes=1 << 30) > peak(net, 120, room_bytes=0) + 4 * 16 * 120 * 4  # those of full size

    def convolutions(room_bytes: int) -> int:
        """Of a strip in a block."""
        with counted() as live:
            for _ in net.strips(ones, (80, 16), strip_px=320, room_bytes=room_bytes):
                pass
        return live.convolutions[6, 6] // (4 * 2)

    smallest = 6 * 4 * 20 * 4
    assert convolutions(2 * smallest) == 2
    assert convolutions(2 * smallest - 1) == 5  # the first one for its moments, for the second's, and for the sum


def test_room_is_not_exceeded() -> None:
    net = made("skips")
    strip = peak(net, 40, room_bytes=0)
    for room in (20_000, 80_000):
        assert peak(net, 120, room_bytes=room) < room + strip


# Layers


@pytest.mark.parametrize("side", [3, 9])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", ["reflect", "same"])
def test_any_rows_of_a_convolution(side: int, stride: int, padding: str) -> None:
    for height in (10, 13):
        x, convs = torch.randn(1, 3, height, 11), [Conv(3, 4, side=side, stride=stride, padding=padding)]
        kinds = ("nearest", "bilinear") if stride == 1 else ()
        convs += [Conv(3, 4, side=side, padding=padding, doubles=kind) for kind in kinds]
        for conv in convs:
            check_rows(x, conv)


@pytest.mark.parametrize("offset", [0, 1])
def test_any_rows_of_a_transposed_convolution(offset: int) -> None:
    check_rows(torch.randn(1, 3, 7, 5), Transposed(3, 4, offset=offset))


@torch.no_grad()
def check_rows(x: Tensor, conv: nn.Module) -> None:
    whole, found = conv(x), convolved(held(x), conv)
    assert (found.channels, *found.size_hw) == whole.shape[1:]
    for start in range(whole.shape[2]):
        for stop in range(start + 1, min(start + 6, whole.shape[2]) + 1):
            torch.testing.assert_close(found.rows(start, stop), whole[:, :, start:stop], atol=1e-5, rtol=1e-5)


def test_tallies_are_exact_where_the_mean_is_far_from_0() -> None:
    feats = (3 + 0.1 * torch.randn(1, 4, 300, 200)).contiguous(memory_format=torch.channels_last)
    running = lazy.running_moments(feats[:, :, 130:], lazy.running_moments(feats[:, :, :130], None))
    var, mean = torch.var_mean(feats.double(), dim=(2, 3), correction=0)
    torch.testing.assert_close(running.mean, mean, atol=1e-5, rtol=0)
    torch.testing.assert_close(running.spread / running.count, var, atol=0, rtol=1e-4)


def test_what_two_maps_hold_counts_once() -> None:
    feats = torch.zeros(1, 2, 3, 4)
    assert lazy.held_bytes(held(feats), held(feats), held(feats.clone()), Map(lambda a, b: feats, 2, (3, 4))) == 192


# Pictures that wrap


WRAPPED = KINDS | {
    "noise": {"noise": True, "outer_px": 3, "upsampling": "bilinear", "skips": True, "unshuffle": 2},
    "bands": {"noise": True, "recolours": True, "matches_palette": True, "matches_bands": True, "outer_px": 3},
}


@pytest.mark.parametrize(
    ("kind", "wraps"),
    [
        *((kind, (True, True)) for kind in WRAPPED),
        *((kind, wraps) for kind in ("squares", "mirrored", "bands") for wraps in ((True, False), (False, True))),
    ],
)
def test_a_rolled_picture_is_painted_rolled(
    kind: str, wraps: tuple[bool, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(KINDS, kind, WRAPPED[kind])
    net, image = made(kind), drawn((64, 96))
    if net.matches_bands:
        net.get_buffer("bands").copy_(band_covariances(0.3 * drawn((64, 64)))[0])
    for name, parameter in net.named_parameters():
        if name.endswith(".noise"):
            nn.init.normal_(parameter, 0, 0.05)
    by = (32 * wraps[0], 64 * wraps[1])
    for room_bytes, strip_px in ((0, 700), (15_000, 1000), (1 << 30, 1 << 30)):
        ways: Any = {"room_bytes": room_bytes, "strip_px": strip_px, "wraps": wraps}
        found = by_strips(net, image, noise=MovedNoise((64, 96), (0, 0)), **ways)
        moved = by_strips(net, image.roll(by, (2, 3)), noise=MovedNoise((64, 96), by), **ways)
        assert apart(moved, found.roll(by, (2, 3))) < 1e-4
        still = by_strips(net, image.roll(by, (2, 3)), noise=MovedNoise((64, 96), by), room_bytes=1 << 30)
        assert apart(still, found.roll(by, (2, 3))) > 1e-3


def test_a_repeated_picture_is_painted_repeated() -> None:
    """The padding is what a neighbouring tile would show."""
    net, image = made("johnson"), drawn((32, 32))
    found = by_strips(net, image, wraps=(True, True))
    twice = by_strips(net, image.repeat(1, 1, 2, 2), wraps=(True, True), strip_px=500)
    assert apart(twice, found.repeat(1, 1, 2, 2)) < 1e-4
