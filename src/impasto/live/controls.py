"""The state of a live view that keys change."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

KEYS = {
    "n": "next style",
    "p": "previous style",
    "[": "less of the next style",
    "]": "more of the next style",
    "-": "weaker",
    "+": "stronger",
    "m": "mirror",
    "f": "freeze",
    "v": "split view",
    "s": "snapshot",
    "r": "record",
    "i": "figures",
    "q": "quit",
}
SAME = {"=": "+", " ": "n", "\x1b": "q"}  # aliases: + without shift, space, Escape
BLEND_STEP, STRENGTH_STEP, STRONGEST = 0.1, 0.1, 3.0


@dataclass(frozen=True)
class Controls:
    """The state of a live view of `styles` styles.

    `blend` is the share of the style after `style`; `snapshots` counts the requested snapshots.
    """

    styles: int
    style: int = 0
    blend: float = 0.0
    strength: float = 1.0
    mirror: bool = False
    frozen: bool = False
    split: bool = False
    recording: bool = False
    figures: bool = True
    snapshots: int = 0
    stopped: bool = False

    @property
    def weights(self) -> tuple[float, ...]:
        """The weight of each style; they add up to 1."""
        weights = [0.0] * self.styles
        weights[self.style] = 1 - self.blend
        weights[(self.style + 1) % self.styles] += self.blend
        return tuple(weights)

    def pressed(self, key: str) -> Controls:
        """The state after a key; unknown keys change nothing."""
        key = SAME.get(key, key.lower())
        changes = {
            "n": {"style": (self.style + 1) % self.styles, "blend": 0.0},
            "p": {"style": (self.style - 1) % self.styles, "blend": 0.0},
            "-": {"strength": max(0.0, round(self.strength - STRENGTH_STEP, 2))},
            "+": {"strength": min(STRONGEST, round(self.strength + STRENGTH_STEP, 2))},
            "m": {"mirror": not self.mirror},
            "f": {"frozen": not self.frozen},
            "v": {"split": not self.split},
            "s": {"snapshots": self.snapshots + 1},
            "r": {"recording": not self.recording},
            "i": {"figures": not self.figures},
            "q": {"stopped": True},
        }
        if key in "[]" and key:
            return self._blended(BLEND_STEP if key == "]" else -BLEND_STEP)
        return dataclasses.replace(self, **changes.get(key, {}))  # type: ignore[arg-type]

    def _blended(self, step: float) -> Controls:
        """The blend moved by `step`, towards the next or the previous style."""
        at = round(self.style + self.blend + step, 2) % self.styles
        style = int(at)
        return dataclasses.replace(self, style=style, blend=round(at - style, 2))
