"""A virtual camera for other programs, by pyvirtualcam."""

from __future__ import annotations

from typing import Any

import numpy as np

from impasto.core.errors import VideoUnwritable
from impasto.core.extras import optional
from impasto.image.resize import SizeHW
from impasto.live.capture import Levels

RATE = 30


class VirtualCamera:
    """Raises `MissingExtra` without pyvirtualcam, `VideoUnwritable` if the system has no virtual camera."""

    def __init__(self, size_hw: SizeHW) -> None:
        module: Any = optional("pyvirtualcam", "virtual-camera", purpose="a virtual camera")
        try:
            self._camera = module.Camera(width=size_hw[1], height=size_hw[0], fps=RATE, print_fps=False)
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise VideoUnwritable(
                f"there is no virtual camera ({reason}). Install OBS, or v4l2loopback on Linux, or use `serve`."
            ) from error
        self.device = str(self._camera.device)

    def add(self, levels: Levels) -> None:
        """Send a picture."""
        self._camera.send(np.ascontiguousarray(levels))

    def close(self) -> None:
        """Close the camera."""
        self._camera.close()
