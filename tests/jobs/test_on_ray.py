"""A batch on Ray; `make test-all` installs it and needs it, `make test` leaves this out where it is missing."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from impasto.config.batch import BatchOptions, FolderOptions
from impasto.config.job import Job
from impasto.config.pictures import OutputOptions
from impasto.core.errors import OptionError
from impasto.image import files
from impasto.jobs.batch import planned
from impasto.jobs.ledger import read_ledger
from impasto.jobs.on_ray import fitting, paint_on_ray

missing = importlib.util.find_spec("ray") is None and not os.environ.get("IMPASTO_RAY_REQUIRED")


def test_actors_take_what_the_cluster_has() -> None:
    assert fitting({"CPU": 16}, threads=4, gpus=False) == 4
    assert fitting({"CPU": 2}, threads=4, gpus=False) == 1
    assert fitting({"CPU": 16, "GPU": 3}, threads=4, gpus=True) == 3
    with pytest.raises(OptionError, match="has none"):
        fitting({"CPU": 16}, threads=4, gpus=True)


@pytest.mark.slow
@pytest.mark.skipif(missing, reason="needs ray: pip install 'impasto[ray]'")
@pytest.mark.filterwarnings("default")
def test_a_batch_on_ray(quick_job: Callable[..., Job], tmp_path: Path) -> None:
    for number in range(5):
        files.write(tmp_path / "contents" / f"{number}.png", torch.full((1, 3, 40, 48), number / 5))
    (tmp_path / "contents" / "bad.png").write_text("no picture")
    options = BatchOptions(attempts=2)
    with planned(
        [str(tmp_path / "contents")],
        {"style": quick_job(content="")},
        outputs=str(tmp_path / "out"),
        folder=FolderOptions(),
        written=OutputOptions(),
        options=options,
    ) as batch:
        outcomes = list(paint_on_ray(batch, workers=2, threads=1, gpus=False, address="local"))
    states = {Path(each.key).name: each.state for each in outcomes}
    assert states == {"bad.png": "failed", **{f"{number}.png": "done" for number in range(5)}}
    assert {each.identity for each in read_ledger(batch.store)} == {each.identity for each in outcomes}
    assert len(list((tmp_path / "out").glob("*-style.png"))) == 5
    assert not (tmp_path / "out" / ".impasto" / "staging").exists()
