"""An objective whose lowest point is known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from impasto.objective.perceptual import Terms
from impasto.stylizers.minimise import Objective


@pytest.fixture
def target() -> Tensor:
    return torch.rand(1, 3, 5, 6)


@pytest.fixture
def quadratic(target: Tensor) -> Objective:
    curvature = torch.linspace(0.5, 4, target.numel()).view_as(target)

    def objective(image: Tensor) -> Terms:
        near = (curvature * (image - target).square()).sum()
        small = 0.001 * image.square().sum()
        return Terms(near + small, {"near": near, "small": small})

    return objective
