"""`impasto batch` when its processes are killed; `benchmarks/batch.py kills` does it more often."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.batch import kills


@pytest.mark.slow
def test_every_output_is_there_once_and_whole_after_kills(tmp_path: Path) -> None:
    killed = kills(tmp_path, count=12, size=48, times=3)
    assert killed.workers + killed.drivers == 3
    assert set(killed.outputs) == {12}
    assert killed.temporary == 0
