"""Neural style transfer: optimisation, fast networks and arbitrary style in one tool."""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"


def __dir__() -> list[str]:
    """The names of `impasto.api`, for completion and `dir(impasto)`."""
    return sorted([*importlib.import_module("impasto.api").__all__, "__version__"])


def __getattr__(name: str) -> Any:
    """A name of `impasto.api`, imported on demand, so that `import impasto` stays quick."""
    if name.startswith("_"):
        raise AttributeError(name)
    return getattr(importlib.import_module("impasto.api"), name)  # "from impasto import api" would ask here again
