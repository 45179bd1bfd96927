"""Networks before their weights, from what a card says: an architecture by name, and its numbers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from impasto.core.errors import UnknownName, WeightsError

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
        raise UnknownName.of("architecture", architecture, builders)
    _check_kinds(numbers, builders[architecture], name=name)
    try:
        return builders[architecture](*given, **numbers)
    except _WRONG_NUMBERS as error:
        raise WeightsError(
            f"the numbers {sorted(numbers)} of {name} are not those of {architecture} ({error}); the file may be "
            "written by a newer impasto: upgrade."
        ) from error


def _check_kinds(numbers: Mapping[str, Any], builder: Callable[..., Any], *, name: str) -> None:
    """Raise `WeightsError` for a number whose type is not that of the builder's default."""
    for key, entry in inspect.signature(builder).parameters.items():
        kind, value = type(entry.default), numbers.get(key, entry.default)
        wanted = (int, float) if kind is float else (kind,)
        fits = isinstance(value, wanted) and isinstance(value, bool) == (kind is bool)
        if kind in (int, float, str, bool) and not fits:
            raise WeightsError(f"{key} of {name} is {value!r}; {kind.__name__} is needed: the file is damaged.")
