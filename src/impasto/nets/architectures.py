"""Networks before their weights, from what a card says: an architecture by name, and its numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from impasto.core.errors import UnknownName, WeightsError


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
    try:
        return builders[architecture](*given, **numbers)
    except (TypeError, KeyError) as error:
        raise WeightsError(
            f"the numbers {sorted(numbers)} of {name} are not those of {architecture} ({error}); the file may be "
            "written by a newer impasto: upgrade."
        ) from error
