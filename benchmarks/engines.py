"""Frames per second of the arbitrary-style network with a prepared style, by engine and size, in one run.

`python benchmarks/engines.py` compares the bundled networks with the full-width AdaIN network (VGG-19 to relu4_1 and
its mirror) of the same code, and with MicroAST in stock torch layers; both have random weights, which do not change the
time. Engines that are not installed are left out: pip install onnx onnxscript onnxruntime openvino. Each row gives the
largest difference of its picture from eager float32, in 8-bit steps.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from impasto.core.memory import keep_freed_memory
from impasto.encoders import table as encoders
from impasto.encoders.vgg import STAGES, Vgg
from impasto.image.resize import resized
from impasto.image.samples import sample
from impasto.image.swatches import swatch
from impasto.nets import table as nets
from impasto.nets.codes import code_from
from impasto.nets.colours import COLOURS, colour_map, recoloured
from impasto.nets.moments import moments
from impasto.weights.card import Card
from impasto.weights.vgg import network_of

Engine = Callable[[nn.Module, Tensor], Callable[[], Tensor]]


class Prepared(nn.Module):
    """A network with one style, picture in, picture out; the colour map is that of one photograph, outside."""

    def __init__(self, network: nets.Network, style: Tensor, photo: Tensor) -> None:
        super().__init__()
        code = code_from(network.encoder(style, network.net.code_layers), style, net=network.net)
        self.net = cast(Any, network.net.of_style(network.net.style_params(code)))
        self.map = None
        if network.net.recolours:
            self.map = colour_map(moments(photo, covariances=True), code[COLOURS])
            self.net.recoloured = lambda image, style_weights: image

    def forward(self, image: Tensor) -> Tensor:
        """`(1, 3, h, w)` painted."""
        painted: Tensor = self.net(image if self.map is None else recoloured(image, self.map))
        return painted


def plain(model: nn.Module, image: Tensor) -> Callable[[], Tensor]:
    """Eager, float32, as memory comes."""
    return lambda: model(image)


def fast(model: nn.Module, image: Tensor) -> Callable[[], Tensor]:
    """Eager, bfloat16, channels last."""
    image = image.contiguous(memory_format=torch.channels_last)
    return lambda: _half(model, image)


def _half(model: Callable[[Tensor], Tensor], image: Tensor) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        return model(image)


def compiled(model: nn.Module, image: Tensor) -> Callable[[], Tensor]:
    """torch.compile of the same."""
    image = image.contiguous(memory_format=torch.channels_last)
    made: Callable[[Tensor], Tensor] = torch.compile(model)
    return lambda: _half(made, image)


def onnx_runtime(model: nn.Module, image: Tensor) -> Callable[[], Tensor]:
    """ONNX Runtime, float32."""
    import onnxruntime

    with tempfile.TemporaryDirectory() as name:
        path = str(Path(name) / "net.onnx")
        torch.onnx.export(model, (image,), path, dynamo=True, verbose=False)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    fed = {session.get_inputs()[0].name: image.numpy()}
    return lambda: torch.from_numpy(session.run(None, fed)[0])


def openvino(model: nn.Module, image: Tensor, precision: str = "bf16") -> Callable[[], Tensor]:
    """OpenVINO, bfloat16."""
    import openvino

    made = openvino.convert_model(model, example_input=image, input=[list(image.shape)])
    hints = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    ready = openvino.compile_model(made, "CPU", hints)
    array = image.numpy()
    return lambda: torch.from_numpy(np.asarray(ready(array)[0]))


ENGINES: dict[str, tuple[str | None, Engine]] = {
    "torch float32": (None, plain),
    "torch bfloat16, channels last": (None, fast),
    "torch.compile bfloat16": (None, compiled),
    "ONNX Runtime float32": ("onnxruntime", onnx_runtime),
    "OpenVINO bfloat16": ("openvino", openvino),
}


def full_width() -> nets.Network:
    """AdaIN as published, with random weights."""
    stages = (*STAGES["vgg19"][:3], (512, 1))
    card = Card(kind="encoder", name="vgg", network=network_of(stages, padding="reflect", ceil_mode=True))
    encoder = encoders.build_encoder(card, Vgg(stages).convs_folded(), precision="float32")
    net = nets.untrained(encoder, nets.VARIANTS["adain"]).eval().requires_grad_(False)
    return nets.Network(net, card, "", encoder)


class MicroResidual(nn.Module):
    """Two convolutions of 3 × 3 and a skip connection; in the decoder their features are scaled and shifted."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = (nn.Conv2d(64, 64, 3, padding=1, padding_mode="reflect") for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """`(b, 64, h, w)` to the same shape."""
        return self.two(nn.functional.relu(self.one(x))) + x  # type: ignore[no-any-return]


def micro_ast() -> nn.Module:
    """The content encoder and decoder of MicroAST (Wang et al. 2023, section 3) in stock torch layers.

    Two residual blocks each, depthwise separable convolutions down and up; the modulation by the style, a few per cent
    of the time, is left out. With the style's encoder it has 0.47 M parameters.
    """

    def conv(into: int, out: int, side: int, *, stride: int = 1, groups: int = 1) -> nn.Module:
        return nn.Conv2d(into, out, side, stride, side // 2, groups=groups, padding_mode="reflect")

    def separable(into: int, out: int, *, stride: int) -> list[nn.Module]:
        groups = min(into, out)
        return [conv(into, out, 3, stride=stride, groups=groups), nn.ReLU(), conv(out, out, 1), nn.ReLU()]

    return nn.Sequential(
        conv(3, 16, 9),
        nn.ReLU(),
        *separable(16, 32, stride=2),
        *separable(32, 64, stride=2),
        *(MicroResidual() for _ in range(4)),
        *(nn.Upsample(scale_factor=2), *separable(64, 32, stride=1)),
        *(nn.Upsample(scale_factor=2), *separable(32, 16, stride=1)),
        conv(16, 3, 9),
    )


def rate(run: Callable[[], Tensor], *, seconds: float) -> float:
    """Frames a second, the median."""
    with torch.inference_mode():
        run(), run()
        times: list[float] = []
        while len(times) < 3 or sum(times) < seconds:
            begun = time.perf_counter()
            run()
            times.append(time.perf_counter() - begun)
    return 1 / statistics.median(times)


@torch.no_grad()
def prepared(network: nets.Network) -> nn.Module:
    """The network with a drawn style."""
    return Prepared(network, swatch("strokes", size_hw=(512, 512)), sample("astronaut").pixels).eval()


def main() -> None:
    """A Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", type=int, nargs="*", default=[256, 512, 1024])
    parser.add_argument("--networks", nargs="+", default=["compact-any", "compact-any-half"])
    parser.add_argument("--seconds", type=float, default=2.0)
    given = parser.parse_args()
    keep_freed_memory()
    print(f"| network | engine | {' | '.join(f'{size}²' for size in given.sizes)} | off by |")
    print("|---|---|" + "--:|" * (len(given.sizes) + 1))
    eager = {"torch float32": ENGINES["torch float32"]}
    rows: list[tuple[str, nn.Module, dict[str, tuple[str | None, Engine]]]]
    rows = [("full-width AdaIN", prepared(full_width()), eager), ("MicroAST", micro_ast().eval(), eager)]
    rows += [(name, prepared(nets.load_network(name, precision="float32")), ENGINES) for name in given.networks]
    for name, model, engines in rows:
        for engine, (package, build) in engines.items():
            if package is not None and importlib.util.find_spec(package) is None:
                continue
            rates, off = [], 0.0
            for size in given.sizes:
                image = resized(sample("astronaut").pixels, (size, size))
                with torch.inference_mode():
                    run = build(model, image)
                    off = max(off, float((run().float() - model(image)).abs().max()) * 255)
                rates.append(rate(run, seconds=given.seconds))
            cells = " | ".join(f"{value:.1f}" for value in rates)
            print(f"| {name} | {engine} | {cells} | {off:.1f} |", flush=True)


if __name__ == "__main__":
    main()
