"""The noise of a network as an operator, with its definition in ONNX."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from impasto.nets.noise import noise_plane

DOMAIN = "impasto"

DEFINITION = (
    """
<domain: "impasto", opset_import: ["" : 18, "impasto" : 1]>
Hashed (numbers) => (mixed)
{
    mask = Constant <value = int64 {4294967295}> ()
    half = Constant <value = int64 {65536}> ()
    eighth = Constant <value = int64 {8192}> ()
    one = Constant <value = int64 {2246822507}> ()
    two = Constant <value = int64 {3266489909}> ()
    start = BitwiseAnd (numbers, mask)
    high = Div (start, half)
    folded = BitwiseXor (start, high)
    spread = Mul (folded, one)
    kept = BitwiseAnd (spread, mask)
    high2 = Div (kept, eighth)
    folded2 = BitwiseXor (kept, high2)
    spread2 = Mul (folded2, two)
    kept2 = BitwiseAnd (spread2, mask)
    high3 = Div (kept2, half)
    mixed = BitwiseXor (kept2, high3)
}
""",
    """
<domain: "impasto", opset_import: ["" : 18, "impasto" : 1]>
NoisePlane <layer_key, seed> (height, width) => (plane)
{
    zero = Constant <value = int64 {0}> ()
    step = Constant <value = int64 {1}> ()
    last = Constant <value = int64[1] {-1}> ()
    sides = Constant <value = int64[2] {0, 1}> ()
    key = Constant <value_int: int = @layer_key> ()
    start = Constant <value_int: int = @seed> ()
    other = Constant <value = int64 {2135587861}> ()
    downwards = Range (zero, height, step)
    rightwards = Range (zero, width, step)
    rows = Unsqueeze (downwards, last)
    keyed = Add (rows, key)
    mixed_rows = impasto.Hashed (keyed)
    mixed_seed = impasto.Hashed (start)
    columns = Add (rightwards, mixed_seed)
    places = Add (mixed_rows, columns)
    number = impasto.Hashed (places)
    moved = Add (number, other)
    second = impasto.Hashed (moved)
    number_f = Cast <to = 1> (number)
    second_f = Cast <to = 1> (second)
    middle = Constant <value = float {0.5}> ()
    levels = Constant <value = float {2.3283064365386963e-10}> ()
    turn = Constant <value = float {1.4629180792671596e-9}> ()
    minus_two = Constant <value = float {-2.0}> ()
    centred = Add (number_f, middle)
    uniform = Mul (centred, levels)
    logarithm = Log (uniform)
    squared = Mul (logarithm, minus_two)
    radius = Sqrt (squared)
    angle = Mul (second_f, turn)
    cosine = Cos (angle)
    normal = Mul (radius, cosine)
    plane = Unsqueeze (normal, sides)
}
""",
)
"""`nets.noise.noise_plane` in standard operators, with the normal numbers in float32."""

ROW_KEY = 0x9E3779B1  # of a layer, in `noise_plane`


class _Plane(torch.autograd.Function):
    """A noise plane, traced as one node."""

    @staticmethod
    def forward(ctx: Any, height: Any, width: Any, layer: int, seed: int) -> Tensor:
        return noise_plane(0, int(height), left=0, right=int(width), layer=layer, seed=seed)

    @staticmethod
    def symbolic(g: Any, height: Any, width: Any, layer: int, seed: int) -> Any:
        plane = g.op(f"{DOMAIN}::NoisePlane", height, width, layer_key_i=ROW_KEY * (layer + 1), seed_i=seed)
        plane.setType(torch._C.TensorType.get().with_dtype(torch.float32).with_sizes([1, 1, None, None]))
        return plane


@dataclass(frozen=True)
class TracedNoise:
    """A traceable `nets.noise.SeededNoise` of whole planes, starting at the first row."""

    seed: int = 0

    def plane(self, layer: int, *rows_and_width: int, stride: int, device: torch.device) -> Tensor:
        """See `nets.noise.Noise.plane`; the first row is 0."""
        _, stop, width = rows_and_width
        plane: Tensor = _Plane.apply(stop, width, layer, self.seed)  # type: ignore[no-untyped-call]
        return plane.to(device)


def defined(model: Any) -> Any:
    """`model` with noise planes expanded to standard operators."""
    from onnx import helper, inliner, parser

    if not any(node.domain == DOMAIN for node in model.graph.node):
        return model
    model.functions.extend(parser.parse_function(text) for text in DEFINITION)
    known = {entry.domain for entry in model.opset_import}
    model.opset_import.extend(helper.make_opsetid(name, 1) for name in {DOMAIN} - known)
    return inliner.inline_local_functions(model)
