"""The methods by name. A new one is a file in this folder and its name in `config.job.METHODS`."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from impasto.config import job as jobs
from impasto.config.job import DEFAULT_METHOD, Job
from impasto.methods.protocol import Method
from impasto.styles.resolved import ResolvedStyle, TrainedStyle


def _method_in(module: str) -> Method:
    method: Method = importlib.import_module(f"impasto.methods.{module}").METHOD
    return method


METHODS: dict[str, Method] = {name: _method_in(name) for name in jobs.METHODS}


def method_for(job: Job, styles: Sequence[ResolvedStyle]) -> Method:
    """The method that the job names; with `auto`, `fast` where all styles are trained and else the default."""
    if job.paint.method != "auto":
        return METHODS[job.paint.method]
    return METHODS["fast" if styles and all(isinstance(style, TrainedStyle) for style in styles) else DEFAULT_METHOD]


def own_groups(values: Mapping[str, Any], method: str) -> dict[str, Any]:
    """The groups of `Job.to_dict()` that the method reads: a later default of another method makes no difference."""
    foreign = {group for row in METHODS.values() for group in row.groups} - {*METHODS[method].groups}
    return {name: value for name, value in values.items() if name not in foreign}
