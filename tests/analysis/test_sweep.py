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
from impasto.analysis.report import DATA, PAGE, SHEET, summary, write_report
from impasto.analysis.sweep import Cell, Result, cells_of, swept
from impasto.analysis.sweep_metrics import SweepMetrics, metric_of
from impasto.analysis.sweep_sheet import labelled, sweep_sheet
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


def results_of(
    studio: Studio, folder: Path, *texts: str, gauge: SweepMetrics | None = None, again: bool = False
) -> tuple[list[Result], list[Axis]]:
    axes = [axis_from(text, JOB) for text in texts]
    steps = swept(cells_of(JOB, axes, folder), studio.begin, gauge=gauge, again=again)
    return [at.result for at in steps if at.result is not None], axes


def test_every_cell_is_painted_and_kept(studio: Studio, tmp_path: Path) -> None:
    results, _ = results_of(studio, tmp_path, "strength=1,2")
    assert studio.painted == [1, 2]
    assert all(r.cell.picture.is_file() and r.cell.record.is_file() for r in results)
    assert [r.steps for r in results] == [2, 2]


def test_a_second_run_paints_only_what_is_missing(studio: Studio, tmp_path: Path) -> None:
    results_of(studio, tmp_path, "strength=1,2")
    studio.painted.clear()
    results, _ = results_of(studio, tmp_path, "strength=1,1.5,2")
    assert studio.painted == [1.5]
    assert [r.kept for r in results] == [True, False, True]
    assert summary(results) == {"painted": 1, "kept": 2, "failed": 0}


def test_other_threads_do_not_paint_again_and_other_options_do(studio: Studio, tmp_path: Path) -> None:
    results_of(studio, tmp_path, "strength=1")
    studio.threads = 2
    results_of(studio, tmp_path, "strength=1")
    assert studio.painted == [1]
    other = Job(content="c.png", styles=JOB.styles[:1])
    cells = cells_of(other, [axis_from("strength=1", other)], tmp_path)
    list(swept(cells, studio.begin))
    assert studio.painted == [1, 1]


def test_again_paints_all(studio: Studio, tmp_path: Path) -> None:
    results_of(studio, tmp_path, "strength=1")
    results_of(studio, tmp_path, "strength=1", again=True)
    assert studio.painted == [1, 1]


def test_half_a_record_is_none(studio: Studio, tmp_path: Path) -> None:
    (result,), _ = results_of(studio, tmp_path, "strength=1")
    result.cell.record.write_text('{"recipe": {')
    results_of(studio, tmp_path, "strength=1")
    result.cell.picture.unlink()
    results_of(studio, tmp_path, "strength=1")
    assert studio.painted == [1, 1, 1]


def test_stopping_keeps_what_is_finished(studio: Studio, tmp_path: Path) -> None:
    axes = [axis_from("strength=1,2", JOB)]
    for at in swept(cells_of(JOB, axes, tmp_path), studio.begin):
        if at.cell.number == 2:
            break
    results, _ = results_of(studio, tmp_path, "strength=1,2")
    assert [r.kept for r in results] == [True, False]


def test_a_failure_ends_its_cell_only_and_is_tried_again(studio: Studio, tmp_path: Path) -> None:
    results, axes = results_of(studio, tmp_path, "strength=1,3,2")
    assert [r.error for r in results] == ["", "the picture is small.", ""]
    assert not results[1].cell.picture.exists()
    write_report(results, axes, JOB, folder=tmp_path, cell_px=48)
    assert "Run 2 failed: the picture is small." in (tmp_path / PAGE).read_text()
    results_of(studio, tmp_path, "strength=1,3,2")
    assert studio.painted == [1, 3, 2, 3]


def test_a_mistake_in_the_program_is_not_hidden(studio: Studio, tmp_path: Path) -> None:
    def broken(job: Job, picture: Path) -> Flat:
        raise KeyError("x")

    axes = [axis_from("strength=1", JOB)]
    with pytest.raises(KeyError):
        list(swept(cells_of(JOB, axes, tmp_path), broken))


def test_file_names_do_not_change_with_the_grid_and_differ(tmp_path: Path) -> None:
    few = cells_of(JOB, [axis_from("strength=1,2", JOB)], tmp_path)
    more = cells_of(JOB, [axis_from("strength=0.5,2", JOB)], tmp_path)
    assert few[1].picture == more[1].picture
    odd = cells_of(JOB, [axis_from("content=a/b.png,a?b.png,a-b.png," + "x" * 300, JOB)], tmp_path)
    names = {cell.picture.name for cell in odd}
    assert len(names) == 4
    assert all(len(name) < 140 and "/" not in name and "?" not in name for name in names)


def test_nothing_varied_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="--vary"):
        cells_of(JOB, [], tmp_path)


@pytest.fixture
def gauge(encoder: Encoder) -> SweepMetrics:
    return SweepMetrics(encoder, ("relu2_1",), ("relu1_1", "relu2_1"))


def test_measures_are_taken_towards_each_style(studio: Studio, tmp_path: Path, gauge: SweepMetrics) -> None:
    (result,), _ = results_of(studio, tmp_path, "strength=2", gauge=gauge)
    assert {metric_of(name) for name in result.measures} == set(METRICS)
    assert {"content", "ssim", "style-gram to a.png", "style-gram to b.png"} <= set(result.measures)


def test_another_gauge_measures_kept_pictures_again(
    studio: Studio, tmp_path: Path, gauge: SweepMetrics, encoder: Encoder
) -> None:
    (first,), _ = results_of(studio, tmp_path, "strength=2", gauge=gauge)
    (same,), _ = results_of(studio, tmp_path, "strength=2", gauge=gauge)
    other = SweepMetrics(encoder, ("relu1_1",), ("relu1_1",))
    (second,), _ = results_of(studio, tmp_path, "strength=2", gauge=other)
    assert studio.painted == [2]
    assert same.measures == first.measures
    assert second.measures["content"] != first.measures["content"]


def test_what_cannot_be_measured_is_painted_all_the_same(studio: Studio, tmp_path: Path, encoder: Encoder) -> None:
    (result,), _ = results_of(studio, tmp_path, "strength=2", gauge=SweepMetrics(encoder, ("relu9_1",), ("relu1_1",)))
    assert not result.error
    assert not result.measures


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


def test_the_page_is_whole_and_needs_no_other_file(studio: Studio, tmp_path: Path, gauge: SweepMetrics) -> None:
    results, axes = results_of(studio, tmp_path, "strength=1,3,2", "seed=1,2", gauge=gauge)
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
    axes = [axis_from("strength=3", job)]
    results = [at.result for at in swept(cells_of(job, axes, tmp_path), studio.begin) if at.result]
    write_report(results, axes, job, folder=tmp_path, cell_px=48)
    assert "<b>&" not in (tmp_path / PAGE).read_text()


def test_the_best_run_is_marked(studio: Studio, tmp_path: Path, gauge: SweepMetrics) -> None:
    results, axes = results_of(studio, tmp_path, "strength=0,2", gauge=gauge)
    write_report(results, axes, JOB, folder=tmp_path, cell_px=48)
    best = max(results, key=lambda result: result.measures["ssim"])
    row = next(line for line in (tmp_path / PAGE).read_text().splitlines() if "<th>ssim" in line)
    assert row.count("<b>") == 1
    assert row.split("<td>")[best.cell.number].startswith("<b>")


def test_results_hold_options_and_recipes(studio: Studio, tmp_path: Path) -> None:
    results, axes = results_of(studio, tmp_path, "strength=1,3")
    assert write_report(results, axes, JOB, folder=tmp_path, cell_px=48) == [
        tmp_path / SHEET,
        tmp_path / PAGE,
        tmp_path / DATA,
    ]
    found = json.loads((tmp_path / DATA).read_text())
    assert found["axes"] == [{"option": "paint.strength", "values": ["1", "3"]}]
    assert found["cells"][0]["recipe"]["job"]["paint"]["strength"] == 1
    assert found["cells"][1]["error"]


def test_the_sheet_has_a_cell_for_each_run(studio: Studio, tmp_path: Path) -> None:
    results, axes = results_of(studio, tmp_path, "strength=1,3,2,4")
    wide = sweep_sheet(results, axes, cell_px=48, columns=4)
    tall = sweep_sheet(results, axes, cell_px=48, columns=2)
    assert wide.shape[-1] > tall.shape[-1]
    assert wide.shape[-2] < tall.shape[-2]
    grid, axes = results_of(studio, tmp_path, "seed=1,2", "tv_weight=0,1", "strength=1,3")
    assert sweep_sheet(grid, axes, cell_px=48).shape[-2] > 4 * 40


def test_a_path_is_labelled_by_its_name() -> None:
    assert labelled(Axis("styles.1.source", ("/x/y/wave.jpg",), ("",)), 0) == "style 1 source wave.jpg"


def test_cells_say_their_record() -> None:
    cell = Cell(1, {}, JOB, Path("a=0.5.png"))
    assert cell.record == Path("a=0.5.json")
