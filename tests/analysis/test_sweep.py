"""Sweeps: cells, resuming, failures, sheet and report."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from torch import Tensor

from impasto.analysis.axes import Axis, axis_from
from impasto.analysis.report import DATA, PAGE
from impasto.analysis.runs import run_all
from impasto.analysis.sweep import PaintRun, SweepPainter, paint_runs
from impasto.analysis.sweep_metrics import SweepMetrics, metric_of
from impasto.analysis.sweep_report import SHEET, labelled, summary, sweep_sheet, write_sweep_report
from impasto.config.analysis import SweepOptions
from impasto.config.job import Job, StyleSource
from impasto.core.errors import ImageTooSmall, OptionError
from impasto.encoders.table import Encoder
from impasto.image import files
from impasto.metrics.table import METRICS
from impasto.stylizers.protocol import Mix, Step, Style

JOB = Job(content="c.png", styles=(StyleSource(source="a.png"), StyleSource(source="b.png")))


@dataclass
class Made:
    """A painting in memory."""

    pixels: Tensor

    def save(self, path: Path, /) -> None:
        files.write(path, self.pixels)


@dataclass
class Note:
    """A recipe."""

    job: Job
    threads: int

    def to_json(self) -> str:
        found = {"job": self.job.to_dict(), "inputs": {}, "weights": {}, "made_with": {"threads": self.threads}}
        return json.dumps(found)


@dataclass
class Drawn:
    """Inputs."""

    content: Tensor
    mix: Mix
    size_hw: tuple[int, int] = (40, 48)


@dataclass
class Flat:
    """A painter whose picture is as bright as the strength; strength 3 fails."""

    job: Job
    recipe: Note
    inputs: Drawn

    def steps(self) -> Iterator[Step]:
        if self.job.paint.strength == 3:
            raise ImageTooSmall("the picture\nis small.")
        for i in (1, 2):
            yield Step(i, 2, (40, 48), torch.full((1, 3, 40, 48), self.job.paint.strength / 4), {"style": 1.0})

    def painting(self, step: Step, /) -> Made:
        return Made(step.picture())


@dataclass
class Studio:
    """Counts what is painted."""

    inputs: Drawn
    threads: int = 1
    painted: list[float] = field(default_factory=list)

    def begin(self, job: Job, picture: Path) -> Flat:
        flat = Flat(job, Note(job, self.threads), self.inputs)
        steps = flat.steps

        def counted() -> Iterator[Step]:
            self.painted.append(job.paint.strength)
            yield from steps()

        flat.steps = counted  # type: ignore[method-assign]
        return flat


@pytest.fixture
def studio(draw_photo: Callable[[int, int], Tensor], draw_painting: Callable[[int, int], Tensor]) -> Studio:
    styles = (Style(draw_painting(40, 44), name="a.png"), Style(draw_photo(44, 40), name="b.png"))
    return Studio(Drawn(draw_photo(40, 48), Mix(styles)))


def swept(
    studio: Studio,
    folder: Path,
    *texts: str,
    metrics: SweepMetrics | None = None,
    again: bool = False,
    job: Job = JOB,
) -> tuple[list[PaintRun], list[Axis]]:
    axes = [axis_from(text, job) for text in texts]
    painter = SweepPainter(open_session=studio.begin, metrics=metrics, again=again)
    runs = paint_runs(job, axes, folder=folder, painter=painter)
    for _ in run_all(runs):
        pass
    return runs, axes


def write_report(runs: list[PaintRun], axes: list[Axis], job: Job, *, folder: Path, cell_px: int) -> list[Path]:
    return write_sweep_report(runs, axes, job=job, folder=folder, options=SweepOptions(cell_px=cell_px))


def test_every_cell_is_painted_and_kept(studio: Studio, tmp_path: Path) -> None:
    results, _ = swept(studio, tmp_path, "strength=1,2")
    assert studio.painted == [1, 2]
    assert all(r.picture.is_file() and r.record_file.is_file() for r in results)
    assert [r.record.steps for r in results] == [2, 2]


def test_a_second_run_paints_only_what_is_missing(studio: Studio, tmp_path: Path) -> None:
    swept(studio, tmp_path, "strength=1,2")
    studio.painted.clear()
    results, _ = swept(studio, tmp_path, "strength=1,1.5,2")
    assert studio.painted == [1.5]
    assert [r.kept for r in results] == [True, False, True]
    assert summary(results) == {"painted": 1, "kept": 2, "failed": 0}


def test_other_threads_do_not_paint_again_and_other_options_do(studio: Studio, tmp_path: Path) -> None:
    swept(studio, tmp_path, "strength=1")
    studio.threads = 2
    swept(studio, tmp_path, "strength=1")
    assert studio.painted == [1]
    swept(studio, tmp_path, "strength=1", job=Job(content="c.png", styles=JOB.styles[:1]))
    assert studio.painted == [1, 1]


def test_again_paints_all(studio: Studio, tmp_path: Path) -> None:
    swept(studio, tmp_path, "strength=1")
    swept(studio, tmp_path, "strength=1", again=True)
    assert studio.painted == [1, 1]


def test_half_a_record_is_none(studio: Studio, tmp_path: Path) -> None:
    (result,), _ = swept(studio, tmp_path, "strength=1")
    result.record_file.write_text('{"recipe": {')
    swept(studio, tmp_path, "strength=1")
    result.picture.unlink()
    swept(studio, tmp_path, "strength=1")
    assert studio.painted == [1, 1, 1]


def test_stopping_keeps_what_is_finished(studio: Studio, tmp_path: Path) -> None:
    runs = paint_runs(
        JOB, [axis_from("strength=1,2", JOB)], folder=tmp_path, painter=SweepPainter(open_session=studio.begin)
    )
    events = run_all(runs)
    for event in events:
        if event.number == 2:
            break
    events.close()
    assert [run.record.state for run in runs] == ["finished", "stopped"]
    write_report(runs, [axis_from("strength=1,2", JOB)], JOB, folder=tmp_path, cell_px=48)
    results, _ = swept(studio, tmp_path, "strength=1,2")
    assert [r.kept for r in results] == [True, False]


def test_a_failure_ends_its_cell_only_and_is_tried_again(studio: Studio, tmp_path: Path) -> None:
    results, axes = swept(studio, tmp_path, "strength=1,3,2")
    assert [r.record.error for r in results] == ["", "the picture is small.", ""]
    assert not results[1].picture.exists()
    write_report(results, axes, JOB, folder=tmp_path, cell_px=48)
    assert "Run 2 failed: the picture is small." in (tmp_path / PAGE).read_text()
    swept(studio, tmp_path, "strength=1,3,2")
    assert studio.painted == [1, 3, 2, 3]


def test_a_mistake_in_the_program_is_not_hidden(studio: Studio, tmp_path: Path) -> None:
    def broken(job: Job, picture: Path) -> Flat:
        raise KeyError("x")

    runs = paint_runs(JOB, [axis_from("strength=1", JOB)], folder=tmp_path, painter=SweepPainter(open_session=broken))
    with pytest.raises(KeyError):
        list(run_all(runs))


def test_file_names_do_not_change_with_the_grid_and_differ(tmp_path: Path) -> None:
    few, more, odd = (
        paint_runs(JOB, [axis_from(text, JOB)], folder=tmp_path, painter=SweepPainter(open_session=Flat))
        for text in ("strength=1,2", "strength=0.5,2", "content=a/b.png,a?b.png,a-b.png," + "x" * 300)
    )
    assert few[1].picture == more[1].picture
    names = {run.picture.name for run in odd}
    assert len(names) == 4
    assert all(len(name) < 140 and "/" not in name and "?" not in name for name in names)


def test_nothing_varied_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="`vary="):
        paint_runs(JOB, [], folder=tmp_path, painter=SweepPainter(open_session=Flat))


@pytest.fixture
def metrics(encoder: Encoder) -> SweepMetrics:
    return SweepMetrics(encoder, ("relu2_1",), ("relu1_1", "relu2_1"))


def test_measures_are_taken_towards_each_style(studio: Studio, tmp_path: Path, metrics: SweepMetrics) -> None:
    (result,), _ = swept(studio, tmp_path, "strength=2", metrics=metrics)
    assert {metric_of(name) for name in result.record.measures} == set(METRICS)
    assert {"content", "ssim", "style-gram to a.png", "style-gram to b.png"} <= set(result.record.measures)


def test_another_metrics_measures_kept_pictures_again(
    studio: Studio, tmp_path: Path, metrics: SweepMetrics, encoder: Encoder
) -> None:
    (first,), _ = swept(studio, tmp_path, "strength=2", metrics=metrics)
    (same,), _ = swept(studio, tmp_path, "strength=2", metrics=metrics)
    other = SweepMetrics(encoder, ("relu1_1",), ("relu1_1",))
    (second,), _ = swept(studio, tmp_path, "strength=2", metrics=other)
    assert studio.painted == [2]
    assert same.record.measures == first.record.measures
    assert second.record.measures["content"] != first.record.measures["content"]


def test_what_cannot_be_measured_is_painted_all_the_same(studio: Studio, tmp_path: Path, encoder: Encoder) -> None:
    (result,), _ = swept(studio, tmp_path, "strength=2", metrics=SweepMetrics(encoder, ("relu9_1",), ("relu1_1",)))
    assert not result.record.error
    assert not result.record.measures


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.cells: list[int] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag == "tr":
            self.cells.append(0)
        if tag in ("td", "th"):
            self.cells[-1] += 1
        if tag not in ("img", "meta"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None: ...

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_needs_no_other_file(studio: Studio, tmp_path: Path, metrics: SweepMetrics) -> None:
    results, axes = swept(studio, tmp_path, "strength=1,3,2", "seed=1,2", metrics=metrics)
    write_report(results, axes, JOB, folder=tmp_path, cell_px=48)
    tags = _Tags()
    tags.feed((tmp_path / PAGE).read_text(encoding="utf-8"))
    assert tags.open == []
    assert set(tags.cells) == {7}  # a name and six runs
    links = [source for source in tags.sources if not source.startswith("data:")]
    assert len(links) == 4
    assert all((tmp_path / link.replace("%3D", "=")).is_file() for link in links)


def test_names_cannot_break_the_page(studio: Studio, tmp_path: Path) -> None:
    job = Job(content="<b>&.png", styles=JOB.styles)
    results, axes = swept(studio, tmp_path, "strength=3", job=job)
    write_report(results, axes, job, folder=tmp_path, cell_px=48)
    assert "<b>&" not in (tmp_path / PAGE).read_text()


def test_the_best_run_is_marked(studio: Studio, tmp_path: Path, metrics: SweepMetrics) -> None:
    results, axes = swept(studio, tmp_path, "strength=0,2", metrics=metrics)
    write_report(results, axes, JOB, folder=tmp_path, cell_px=48)
    best = max(range(2), key=lambda i: results[i].record.measures["ssim"])
    row = next(line for line in (tmp_path / PAGE).read_text().splitlines() if "<th>ssim" in line)
    assert row.count("<b>") == 1
    assert row.split("<td>")[best + 1].startswith("<b>")


def test_results_hold_options_and_recipes(studio: Studio, tmp_path: Path) -> None:
    results, axes = swept(studio, tmp_path, "strength=1,3")
    assert write_report(results, axes, JOB, folder=tmp_path, cell_px=48) == [
        tmp_path / SHEET,
        tmp_path / PAGE,
        tmp_path / DATA,
    ]
    found = json.loads((tmp_path / DATA).read_text())
    assert found["axes"] == [{"option": "paint.strength", "values": ["1", "3"]}]
    assert found["runs"][0]["recipe"]["job"]["paint"]["strength"] == 1
    assert found["runs"][1]["error"]


def test_the_sheet_has_a_cell_for_each_run(studio: Studio, tmp_path: Path) -> None:
    results, axes = swept(studio, tmp_path, "strength=1,3,2,4")
    wide = sweep_sheet(results, axes, cell_px=48, columns=4)
    tall = sweep_sheet(results, axes, cell_px=48, columns=2)
    assert wide.shape[-1] > tall.shape[-1]
    assert wide.shape[-2] < tall.shape[-2]
    grid, axes = swept(studio, tmp_path, "seed=1,2", "tv_weight=0,1", "strength=1,3")
    assert sweep_sheet(grid, axes, cell_px=48).shape[-2] > 4 * 40


def test_a_path_is_labelled_by_its_name() -> None:
    assert labelled(Axis("styles.1.source", ("/x/y/wave.jpg",), ("",)), 0) == "style 1 source wave.jpg"
