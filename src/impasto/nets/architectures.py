"""Untrained networks from the architecture and the hyperparameters in a card."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn

from impasto.core.errors import UnknownName, WeightsError
from impasto.nets.layers import is_style_param

_WRONG_NUMBERS = (TypeError, ValueError, LookupError, ArithmeticError, RuntimeError, AttributeError)
"""Raised by builders, and by torch in them, for values of other types and ranges."""


def untrained(
    network: Mapping[str, Any], builders: Mapping[str, Callable[..., Any]], *, name: str, given: Sequence[Any] = ()
) -> Any:
    """The module that a card's `network` describes: its architecture's builder with `given` and all other numbers.

    `name` is the network's, for errors: `UnknownName` for another architecture, `WeightsError` for numbers that it has
    not.
    """
    numbers = dict(network)
    architecture = str(numbers.pop("architecture", None))
    if architecture not in builders:
        raise UnknownName.of("architecture", architecture, known=builders)
    _check_kinds(numbers, builders[architecture], name=name)
    try:
        return builders[architecture](*given, **numbers)
    except _WRONG_NUMBERS as error:
        raise WeightsError(
            f"the numbers {sorted(numbers)} of {name} are not those of {architecture} ({error}); the file may be "
            "written by a newer impasto: upgrade."
        ) from error


def base_of(net: nn.Module, options: Mapping[str, Any], *, builder: Callable[..., Any], more: Sequence[Any]) -> str:
    """Hex digest of everything but the styles' parameters: tensors, the `options` of the `builder`, and `more`."""
    complete = {name: entry.default for name, entry in inspect.signature(builder).parameters.items()}
    complete = {name: value for name, value in complete.items() if value is not inspect.Parameter.empty} | {**options}
    complete.pop("styles", None)
    digest = hashlib.sha256(json.dumps([complete, *more], sort_keys=True).encode())
    for key, value in sorted(net.state_dict().items()):
        if not is_style_param(key):
            digest.update(f"{key} {tuple(value.shape)} {value.dtype}".encode())
            digest.update(value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _check_kinds(numbers: Mapping[str, Any], builder: Callable[..., Any], *, name: str) -> None:
    """Raise `WeightsError` for a hyperparameter whose type differs from the builder's default."""
    for key, entry in inspect.signature(builder).parameters.items():
        kind, value = type(entry.default), numbers.get(key, entry.default)
        wanted = (int, float) if kind is float else (kind,)
        fits = isinstance(value, wanted) and isinstance(value, bool) == (kind is bool)
        if kind in (int, float, str, bool) and not fits:
            raise WeightsError(f"{key} of {name} is {value!r}; {kind.__name__} is needed: the file is damaged.")
