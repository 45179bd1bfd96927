"""Batches as a whole, painted in this process; `test_batch_command` has the processes."""

from __future__ import annotations

import contextlib
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from workers import InProcess

from impasto.config.batch import BatchOptions, FolderOptions
from impasto.config.job import Job
from impasto.config.pictures import OutputOptions
from impasto.core.errors import BatchError, StateError
from impasto.image import files
from impasto.jobs.batch import PlannedBatch, planned, shards_of, spec_for
from impasto.jobs.ledger import read_ledger
from impasto.jobs.manifest import ManifestEntry
from impasto.jobs.page import write_batch_report
from impasto.jobs.shards import painted_shards
from impasto.jobs.stores import Store
from impasto.jobs.tasks import Outcome, tasks_of
from impasto.session.painting import recipe_of

Planned = Callable[..., contextlib.AbstractContextManager[PlannedBatch]]


@pytest.fixture
def contents(tmp_path: Path) -> Path:
    for number, name in enumerate(("a.png", "b.c.png", "sub/a.png")):
        (tmp_path / "contents" / name).parent.mkdir(parents=True, exist_ok=True)
        files.write(tmp_path / "contents" / name, torch.full((1, 3, 40, 48), number / 4))
    return tmp_path / "contents"


@pytest.fixture
def batch_of(quick_job: Callable[..., Job], contents: Path, tmp_path: Path) -> Planned:
    """`batch_of(outputs=…, format=…, tar=…, strength=…)`: the contents in one style."""

    def made(
        outputs: str = "",
        *,
        inputs: str = "",
        format: str | None = None,
        written: OutputOptions | None = None,
        **options: Any,
    ) -> contextlib.AbstractContextManager[PlannedBatch]:
        job = quick_job(content="", **options.pop("job", {}))
        return planned(
            [inputs or str(contents)],
            {"style": job},
            outputs=outputs or str(tmp_path / "outputs"),
            folder=FolderOptions(format=format),
            written=written or OutputOptions(),
            options=BatchOptions(**options),
        )

    return made


def paint(batch: PlannedBatch) -> Iterator[Outcome]:
    with batch.store.staging() as staged:
        pool: Any = InProcess(spec_for(batch, staged), staging=staged)
        yield from painted_shards(shards_of(batch), pool, store=batch.store, staged=staged)


def names(folder: Path) -> set[str]:
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path.as_posix() for path in paths if not path.parts[0].startswith(".")}


def test_every_picture_once_and_the_rest_after_a_stop(batch_of: Planned, tmp_path: Path, contents: Path) -> None:
    with batch_of(format="jpg") as batch:
        work = paint(batch)
        next(work)
        work.close()  # type: ignore[attr-defined]
    with batch_of(format="jpg") as batch:
        assert (len(batch.known), len(batch.tasks), batch.total) == (1, 2, 3)
        list(paint(batch))
    assert names(tmp_path / "outputs") == {"a-style.jpg", "b.c-style.jpg", "sub/a-style.jpg"}
    files.write(contents / "new.png", torch.zeros(1, 3, 40, 48))
    with batch_of(format="jpg") as batch:
        assert [task.output for task in batch.tasks] == ["new-style.jpg"]
    recipe = recipe_of(tmp_path / "outputs" / "sub" / "a-style.jpg")
    assert recipe.job.content == "../../contents/sub/a.png"


def test_other_options_are_refused_or_go_beside(batch_of: Planned, tmp_path: Path) -> None:
    with batch_of() as batch:
        list(paint(batch))
    with pytest.raises(StateError, match=r"painted with other options \(job.size.size\)"), batch_of(job=_size(40)):
        pass
    with batch_of(job=_size(40), beside=True) as batch:
        list(paint(batch))
    assert {"a-style.png", "a-style-2.png"} < names(tmp_path / "outputs")
    with batch_of(job=_size(40), beside=True) as batch:
        assert not batch.tasks


def _size(size: int) -> dict[str, Any]:
    from impasto.config.pictures import SizeOptions

    return {"size": SizeOptions(size=size)}


def test_what_was_put_aside_is_tried_again_on_request(batch_of: Planned, contents: Path) -> None:
    (contents / "bad.png").write_text("no picture")
    with batch_of() as batch:
        states = {Path(each.key).name: each.state for each in paint(batch)}
    assert states["bad.png"] == "failed"
    files.write(contents / "bad.png", torch.zeros(1, 3, 40, 48))
    with batch_of() as batch:
        assert not batch.tasks
    with batch_of(retry=True) as batch:
        assert [outcome.state for outcome in paint(batch)] == ["done"]
    assert {each.state for each in read_ledger(batch.store)} == {"done"}


def test_tar_shards_hold_every_picture_with_its_recipe(batch_of: Planned, tmp_path: Path) -> None:
    written = OutputOptions(sidecar=True)
    with batch_of(tar=2, written=written) as batch:
        outcomes = list(paint(batch))
    assert names(tmp_path / "outputs") == {"shard-000000.tar", "shard-000001.tar"}
    members = []
    for name in ("shard-000000.tar", "shard-000001.tar"):
        with tarfile.open(tmp_path / "outputs" / name) as tar:
            members += tar.getnames()
    assert members == [
        *("a-style.png", "a-style.json", "b_c-style.png", "b_c-style.json", "sub/a-style.png", "sub/a-style.json")
    ]
    assert {each.shard for each in outcomes} == {"shard-000000.tar", "shard-000001.tar"}
    again = str(tmp_path / "outputs")
    with batch_of(str(tmp_path / "again"), inputs=again + "/*.tar") as batch:  # outputs are inputs, too
        assert len(list(paint(batch))) == 3
    recipe = recipe_of(tmp_path / "again" / "shard-000000" / "a-style-style.png")
    assert recipe.job.content == f"tar://a-style.png::{again}/shard-000000.tar"


def test_the_report_counts_and_shows(batch_of: Planned, contents: Path, tmp_path: Path) -> None:
    (contents / "<bad>.png").write_text("no picture")
    with batch_of() as batch:
        data = write_batch_report(batch, list(paint(batch)), seconds=2.0, workers=1)
    assert (data["pictures"], data["done"], data["failed"], data["left"]) == (4, 3, 1, 0)
    assert data["this_run"]["pictures_per_second"] == 1.5
    assert json.loads((tmp_path / "outputs" / "batch.json").read_text()) == json.loads(json.dumps(data))
    page = (tmp_path / "outputs" / "batch.html").read_text()
    assert page.count("<figure>") == 3
    assert "&lt;bad&gt;.png" in page
    assert "<bad>" not in page


def test_one_batch_at_a_time(batch_of: Planned) -> None:
    with batch_of(), pytest.raises(BatchError, match="another batch paints into"), batch_of():
        pass


def test_a_damaged_line_of_the_ledger_is_left_out(batch_of: Planned) -> None:
    with batch_of() as batch:
        list(paint(batch))
    (ledger,) = Path(batch.spec.outputs, ".impasto", "done").iterdir()
    ledger.write_text(ledger.read_text()[:-20])
    assert len(read_ledger(Store(batch.spec.outputs))) == 2


def test_names_are_numbered_and_stay_as_they_were(batch_of: Planned) -> None:
    with batch_of() as batch:
        mixes = batch.spec.mixes
    entries = [ManifestEntry(f"/in/{name}", "a", f"/in/{name}") for name in ("a.bmp", "a.jpg", "a.png")]
    every = tasks_of(entries, mixes, suffix=".png", pairs="all", known=set(), taken=set())
    assert [task.output for task in every] == ["a-style.png", "a-style-2.png", "a-style-3.png"]
    left = tasks_of(
        entries,
        mixes,
        suffix=".png",
        pairs="all",
        known={("/in/a.jpg", mixes["style"].digest)},
        taken={"a-style-2.png"},
    )
    assert [task.output for task in left] == ["a-style.png", "a-style-3.png"]
