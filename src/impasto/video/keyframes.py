"""Key frames: strength and style weights of a film over time."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from scipy.interpolate import CubicHermiteSpline, PchipInterpolator

from impasto.config.video import Keyframe
from impasto.core.errors import OptionError
from impasto.core.options import from_dict

TABLE = "keyframe"
EXAMPLE = "[[keyframe]] with time = 2.5 and strength = 0.5 or weights = [1, 0]"


def read_keyframes(path: Path) -> tuple[Keyframe, ...]:
    """The key frames in a TOML file: tables `[[keyframe]]` with `time`, `strength` and `weights`.

    Raises `OptionError`, its message naming the file.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionError(f"{path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OptionError(f"{path} is not TOML: {error}.") from error
    tables = data.get(TABLE)
    if set(data) != {TABLE} or not isinstance(tables, list) or not tables:
        raise OptionError(f"{path} contains {', '.join(data) or 'nothing'}; it needs key frames: {EXAMPLE}.")
    return tuple(from_dict(Keyframe, table, where=f"key frame {n} of {path}") for n, table in enumerate(tables, 1))


@dataclass(frozen=True)
class Timeline:
    """Strength and weights at any time, from `keyframes`.

    Between key frames values follow monotone cubic curves (Fritsch & Carlson 1980), which do not overshoot; before the
    first and after the last key frame they are constant, without a kink. Values that no key frame gives are the job's:
    `strength`, and `weights`, one for each style.
    """

    keyframes: tuple[Keyframe, ...]
    strength: float
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        for before, after in pairwise(self.keyframes):
            if after.time <= before.time:
                raise OptionError(
                    f"the key frame at {after.time:g} s follows the one at {before.time:g} s; times must increase."
                )
        for frame in self.keyframes:
            where = f"the key frame at {frame.time:g} s"
            if frame.weights and len(frame.weights) != len(self.weights):
                raise OptionError(
                    f"{where} has {len(frame.weights)} weights; each style needs one: {len(self.weights)}."
                )
            if frame.weights and sum(frame.weights) <= 0:
                raise OptionError(f"the weights of {where} add up to 0; at least one must be above 0.")

    def at(self, time_s: float) -> tuple[float, tuple[float, ...]]:
        """Strength and weights at a time of the source."""
        strengths = [(f.time, (f.strength,)) for f in self.keyframes if f.strength is not None]
        weights = [(f.time, f.weights) for f in self.keyframes if f.weights]
        (strength,) = _between(strengths, time_s) if strengths else (self.strength,)
        return strength, _between(weights, time_s) if weights else self.weights


def _between(points: Sequence[tuple[float, Sequence[float]]], time_s: float) -> tuple[float, ...]:
    """The values at `time_s` of curves through `points`."""
    times, values = [time for time, _ in points], [value for _, value in points]
    if time_s <= times[0] or time_s >= times[-1]:
        return tuple(values[0] if time_s <= times[0] else values[-1])
    slopes: Any = PchipInterpolator(times, values).derivative()(times)
    slopes[[0, -1]] = 0.0
    curve: Any = CubicHermiteSpline(times, values, slopes)
    return tuple(max(0.0, float(value)) for value in curve(time_s))  # rounding may go below 0
