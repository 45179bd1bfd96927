"""The colours of a style, given to a content before a network sees it."""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.encoders.padding import exported
from impasto.image.colour import tint_of_grey, tinted
from impasto.nets.moments import moments
from impasto.nets.shared import shared

COLOURS = "rgb"
"""The entry of a code that holds mean and covariance of the style's colours, `(b, 4, 3)`."""

HUES = "hues"
"""The optional entry of a code that holds the style's prevailing chroma by rank of luminance, `(b, 2, 32)`, as
`image.colour.palette_by_luminance` gives it; of use for grey contents only."""

SAMPLE_PX = 256  # side of the sample of a content that decides how much it is tinted

ROUNDS, FEWER_ROUNDS = 10, 7  # of a fixed point, whose error is then below 1e-9, and that of float32
FLOOR = 1e-3  # added to variances: the noise of a flat picture is not stretched to the colours of a rich one


def colour_map(stats: Tensor, target: Tensor) -> Tensor:
    """The affine map `(b, 3, 4)` that moves colours of `stats` `(b, 4, 3)` to those of `target`, the shortest way.

    Between Gaussians this is optimal transport, whose linear part is symmetric and positive: light stays lighter than
    dark (Pitié & Kokaram, The linear Monge-Kantorovitch linear colour mapping, 2007). In float32.
    """
    wide = torch.float32 if exported() else torch.float64  # few engines compute in double precision
    eye = FLOOR * torch.eye(3, dtype=wide, device=stats.device)
    linear = transport(*(value.to(wide)[:, 1:] + eye for value in (stats, target)))
    shift = target[:, 0].to(wide) - (linear @ stats[:, 0, :, None].to(wide))[..., 0]
    return torch.cat([linear, shift[..., None]], dim=2).float()


def transport(here: Tensor, there: Tensor) -> Tensor:
    """The linear map `here⁻¹ (here there)^½` between Gaussians of these covariances `(…, 3, 3)`: symmetric, positive.

    Without eigenvalues, in the precision of the covariances. The root of a 3×3 matrix is a polynomial of it and of the
    root's own invariants (Hoger & Carlson 1984, Determination of the stretch and rotation in the polar decomposition).
    """
    adjugate, other = _adjugate(here), _adjugate(there)
    det, other_det = _det(here, adjugate), _det(there, other)
    trace, minors = _sum(here * there), _sum(adjugate * other)
    first, second, third = _root_invariants(trace, minors=minors, det=det * other_det)
    inverse = adjugate / det
    root = (first.square() - second) * there - there @ here @ there + first * third * inverse
    return root / (first * second - third)


def root(matrix: Tensor) -> Tensor:
    """The square roots of symmetric positive matrices `(…, 3, 3)`, without eigenvalues."""
    adjugate = _adjugate(matrix)
    eye = torch.eye(3, dtype=matrix.dtype, device=matrix.device)
    return _root(matrix, _sum(matrix * eye), minors=_sum(adjugate * eye), det=_det(matrix, adjugate))


def limited(matrix: Tensor, *, least: float, most: float) -> Tensor:
    """Symmetric matrices `(…, 3, 3)` with their eigenvalues between `least` and `most`, without computing these."""
    eye = torch.eye(3, dtype=matrix.dtype, device=matrix.device)
    low, high = _magnitude(torch.cat([matrix - least * eye, matrix - most * eye])).chunk(2)
    return ((least + most) * eye + low - high) / 2


def _magnitude(matrix: Tensor) -> Tensor:
    """Symmetric matrices `(…, 3, 3)` with the absolute values of their eigenvalues, of at least `small`."""
    small = 3e-3 if matrix.dtype == torch.float32 else 1e-5  # the root of 0 is the end of all digits
    adjugate, square = _adjugate(matrix), small**2
    traces, minors = _sum(matrix.square()), _sum(adjugate.square())
    det = _det(matrix, adjugate).square()
    whole = matrix @ matrix + square * torch.eye(3, dtype=matrix.dtype, device=matrix.device)
    return _root(
        whole,
        traces + 3 * square,
        minors=minors + 2 * square * traces + 3 * square**2,
        det=det + square * minors + square**2 * traces + square**3,
    )


def _root(matrix: Tensor, trace: Tensor, *, minors: Tensor, det: Tensor) -> Tensor:
    """The square roots of matrices `(…, 3, 3)` with these invariants."""
    first, second, third = _root_invariants(trace, minors=minors, det=det)
    eye = torch.eye(3, dtype=matrix.dtype, device=matrix.device)
    return ((first.square() - second) * matrix - matrix @ matrix + first * third * eye) / (first * second - third)


def _root_invariants(trace: Tensor, *, minors: Tensor, det: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Trace, sum of principal minors and determinant of the root of matrices with these, all `(…, 1, 1)`.

    By a fixed point, whose error shrinks to a ninth or less with each round.
    """
    third, first = det.sqrt(), trace.sqrt()
    fourfold, eightfold = 4 * minors, 8 * third
    for _ in range(ROUNDS if trace.dtype == torch.float64 else FEWER_ROUNDS):
        twice = (fourfold + eightfold * first).sqrt()  # twice the second invariant
        first = (trace + twice).sqrt()
    return first, twice / 2, third


def _sum(matrix: Tensor) -> Tensor:
    """The sums of all entries, `(…, 1, 1)`."""
    return matrix.sum((-2, -1), keepdim=True)


def _det(matrix: Tensor, adjugate: Tensor) -> Tensor:
    """Determinants `(…, 1, 1)`."""
    return _sum(matrix[..., :1, :] * adjugate[..., :1, :])


def _adjugate(matrix: Tensor) -> Tensor:
    """The adjugates of symmetric matrices `(…, 3, 3)`: the inverses times the determinants."""
    one, two = (torch.tensor(order, device=matrix.device) for order in ([1, 2, 0], [2, 0, 1]))
    below, above = matrix.index_select(-2, one), matrix.index_select(-2, two)
    return below.index_select(-1, one) * above.index_select(-1, two) - below.index_select(-1, two) * above.index_select(
        -1, one
    )


def recoloured(image: Tensor, linear: Tensor, *, amount: float = 1) -> Tensor:
    """`image` `(b, 3, h, w)` through `(b, 3, 4)`, in `[0, 1]`; `amount` 0 leaves it as it is."""
    with torch.autocast(image.device.type, enabled=False):
        moved = torch.einsum("bij,bjhw->bihw", linear[..., :3], image.float()) + linear[..., 3, None, None]
        moved = moved if amount == 1 else torch.lerp(image.float(), moved, amount)
        return moved.clamp(0, 1).to(image.dtype)


def tinted_grey(image: Tensor, hues: Tensor) -> Tensor:
    """`image` `(1, 3, h, w)`, a whole picture, with the chroma of `hues` by its luminance as far as it is grey.

    A linear map of colours gives a grey picture one hue only. A coloured picture comes back as it is.
    """
    step = max(1, min(image.shape[-2:]) // SAMPLE_PX)
    return tinted(image, shared(tint_of_grey(image[..., ::step, ::step].float(), hues)))


def in_colours(image: Tensor, target: Tensor) -> Tensor:
    """`image` `(b, 3, h, w)`, a whole picture, in the colours of `target` `(b, 4, 3)`."""
    return recoloured(image, colour_map(shared(moments(image, covariances=True)), target))
