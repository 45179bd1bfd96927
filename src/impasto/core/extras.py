"""Optional packages."""

from __future__ import annotations

import importlib
from types import ModuleType

from impasto.core.errors import MissingExtra


def optional(module: str, extra: str, *, purpose: str) -> ModuleType:
    """The imported `module`, or `MissingExtra` naming the pip extra that brings it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(f"{purpose} needs {module}: pip install 'impasto[{extra}]'.") from error
