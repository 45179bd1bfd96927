"""Sweeps of trainings: each run is kept, what is stopped goes on, what fails does not end the others."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch

from impasto.analysis import curves
from impasto.analysis.report import DATA, PAGE, Chart
from impasto.analysis.runs import Record, RunEvent
from impasto.config.fast_training import FastFitOptions, FastTrainOptions
from impasto.core.errors import NotFinite, OptionError, StateError
from impasto.image import files
from impasto.jobs import comparison
from impasto.jobs.experiments import NETWORK, RECORD, read_experiment, run_experiments
from impasto.jobs.grid import Experiment, experiments
from impasto.training.boards import Log
from impasto.training.fit import Progress


@dataclass
class Trainer:
    """Trains nothing: counts the steps, and writes what a training writes. It fails at `bad` with its error."""

    steps: list[tuple[str, int]] = field(default_factory=list)
    bad: dict[str, Exception] = field(default_factory=dict)

    def __call__(self, options: FastTrainOptions, fitting: FastFitOptions, folder: Path) -> Iterator[Progress]:
        folder.mkdir(parents=True, exist_ok=True)
        state = folder / "checkpoint.pt"
        begun = int(state.read_text()) if state.exists() else 0
        log = Log(folder / "log.jsonl", step=begun)
        for step in range(begun + 1, fitting.steps + 1):
            if folder.name in self.bad and step > 1:
                raise self.bad[folder.name]
            self.steps.append((folder.name, step))
            losses = {"content": 1.0, "style": options.style_weight / step}
            log.write(step, losses, rate=0.1, norm=1.0, skipped=0)
            state.write_text(str(step))
            sample = folder / "samples" / f"step-{step:06d}.png"
            if step > 1:
                files.write(sample, torch.full((1, 3, 8, 12), step / 10))
            yield Progress(step, fitting.steps, losses, 0.1, 0, sample=sample if step > 1 else None, unreadable=("x",))
        (folder / NETWORK).touch()


@pytest.fixture
def grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[Experiment]]:
    """`grid("…")`: the experiments of a file that trains three steps on pictures that are there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(comparison, "chart", lambda draw, caption="": Chart(caption, "<svg></svg>"))  # quicker
    monkeypatch.setattr(curves, "loss_picture", lambda runs: torch.zeros(1, 3, 8, 8))
    (tmp_path / "photos").mkdir()
    (tmp_path / "wave.png").touch()

    def found(text: str) -> list[Experiment]:
        base = "[base]\ncontents = 'photos'\nstyles = 'wave.png'\nsteps = 3\n"
        (tmp_path / "grid.toml").write_text(base + text, encoding="utf-8")
        return experiments(tmp_path / "grid.toml")

    return found


def run(found: list[Experiment], train: Trainer, folder: Path = Path("out")) -> list[RunEvent[Progress]]:
    return list(run_experiments(found, folder, train=train, title="grid", report_error=pytest.fail))


def ends(moments: list[RunEvent[Progress]]) -> dict[str, Record]:
    return {at.run.name: at.run.record for at in moments if at.step is None}


AB = "[[runs]]\nname = 'a'\n[[runs]]\nname = 'b'\nstyle-weight = 50\n"


def test_each_run_trains_to_the_end_in_a_folder_of_its_own(grid: Callable[[str], list[Experiment]]) -> None:
    train = Trainer()
    moments = run(grid(AB), train)
    assert train.steps == [("a", 1), ("a", 2), ("a", 3), ("b", 1), ("b", 2), ("b", 3)]
    assert [(at.number, at.count, at.step.step) for at in moments if at.step] == [
        *((1, 2, step) for step in (1, 2, 3)),
        *((2, 2, step) for step in (1, 2, 3)),
    ]
    for name, record in ends(moments).items():
        assert (record.state, record.step, record.steps, record.error) == ("finished", 3, 3, "")
        assert (record.timed_steps, record.unreadable) == (2, 1)
        assert record.seconds >= record.step_seconds > 0
        assert files.read(Path("out") / name / "losses.png").pixels.shape[1] == 3
    assert Path("out", PAGE).is_file()


def test_what_is_finished_is_not_trained_again(grid: Callable[[str], list[Experiment]]) -> None:
    run(grid(AB), Trainer())
    Path("out", PAGE).unlink()
    train = Trainer()
    moments = run(grid(AB), train)
    assert train.steps == []
    assert [at.kept for at in moments] == [True, True]
    assert Path("out", PAGE).is_file()
    more = run(grid(AB + "[[runs]]\nname = 'c'\n"), train)
    assert train.steps == [("c", 1), ("c", 2), ("c", 3)]
    assert [record.state for record in ends(more).values()] == ["finished"] * 3


@pytest.mark.parametrize("stopped_at", [1, 3, 4, 5])
def test_stopped_anywhere_it_goes_on(stopped_at: int, grid: Callable[[str], list[Experiment]]) -> None:
    train, found = Trainer(), grid(AB)
    moments = run_experiments(found, Path("out"), train=train, title="grid", report_error=pytest.fail)
    for _ in range(stopped_at):
        next(moments)
    moments.close()
    first = read_experiment(found[0], Path("out/a"))
    assert first.state == ("finished" if stopped_at > 3 else "stopped")
    assert first.step == min(stopped_at, 3)
    assert ("stopped" in Path("out", PAGE).read_text()) == (stopped_at != 4)
    again = ends(run(found, train))
    assert [record.state for record in again.values()] == ["finished", "finished"]
    assert len(train.steps) == 6  # no step twice
    assert again["a"].seconds >= first.seconds


def test_a_killed_run_goes_on(grid: Callable[[str], list[Experiment]]) -> None:
    found, train = grid(AB), Trainer()

    def killed(options: FastTrainOptions, fitting: FastFitOptions, folder: Path) -> Iterator[Progress]:
        for progress in train(options, fitting, folder):
            if progress.step == 2:
                raise KeyboardInterrupt
            yield progress

    with pytest.raises(KeyboardInterrupt):
        list(run_experiments(found, Path("out"), train=killed, title="grid", report_error=pytest.fail))
    assert read_experiment(found[0], Path("out/a")).state == "stopped"
    run(found, train)
    assert len(train.steps) == 6


@pytest.mark.parametrize("error", [NotFinite("the loss was\nnot finite."), RuntimeError("odd"), MemoryError()])
def test_one_that_fails_is_noted_and_tried_again(error: Exception, grid: Callable[[str], list[Experiment]]) -> None:
    train = Trainer(bad={"a": error})
    records = ends(run(grid(AB), train))
    assert (records["a"].state, records["b"].state) == ("failed", "finished")
    assert records["a"].error == (" ".join(str(error).split()) or "MemoryError")
    assert records["a"].step == 1
    assert records["a"].error in Path("out", PAGE).read_text()
    train.bad.clear()
    records = ends(run(grid(AB), train))
    assert (records["a"].state, records["a"].error) == ("finished", "")
    assert train.steps.count(("a", 1)) == 1


def test_a_mistake_in_the_program_is_not_a_failed_run(grid: Callable[[str], list[Experiment]]) -> None:
    with pytest.raises(KeyError):
        run(grid(AB), Trainer(bad={"a": KeyError("mistake")}))


def test_another_setting_under_one_name_is_refused(grid: Callable[[str], list[Experiment]]) -> None:
    run(grid(AB), Trainer())
    train = Trainer()
    with pytest.raises(StateError, match=r"b was trained with another style_weight\. Give the run another name"):
        run(grid(AB.replace("50", "60")), train)
    assert train.steps == []
    run(grid(AB + "log-every = 1\n"), train)  # what changes nothing that is learned may differ
    assert train.steps == []


def test_a_network_that_is_gone_is_trained_again(grid: Callable[[str], list[Experiment]]) -> None:
    run(grid(AB), Trainer())
    Path("out/a", NETWORK).unlink()
    run(grid(AB), Trainer())
    assert Path("out/a", NETWORK).is_file()


@pytest.mark.parametrize("text", ["", '{"settings": {}, "record": {"stat": 2}}', "[]"])
def test_a_damaged_record_is_said(text: str, grid: Callable[[str], list[Experiment]]) -> None:
    run(grid(AB), Trainer())
    Path("out/a", RECORD).write_text(text)
    with pytest.raises(StateError, match=r"cannot be read .* delete it"):
        run(grid(AB), Trainer())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"contents": ()}, "run 'a' has no contents"),
        ({"styles": ()}, "run 'a' has no styles"),
        ({"styles": (Path("gone.png"),)}, "needs gone.png, which does not exist"),
        ({"validation": Path("gone")}, "needs gone, which does not exist"),
    ],
)
def test_what_would_end_every_run_is_said_before(
    change: dict[str, object], said: str, grid: Callable[[str], list[Experiment]]
) -> None:
    found, train = grid(AB), Trainer()
    broken = dataclasses.replace(found[0], options=dataclasses.replace(found[0].options, **change))
    with pytest.raises(OptionError, match=said):
        run([broken, found[1]], train)
    assert not Path("out").exists()


def test_one_process_and_a_folder(grid: Callable[[str], list[Experiment]], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OptionError, match="is not a folder"):
        run(grid(AB), Trainer(), Path("wave.png"))
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(OptionError, match="in one process"):
        run(grid(AB), Trainer())


# The report


class Page(HTMLParser):
    """The rows of a page's tables, its addresses, and whether its tags match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.addresses: list[str] = []
        self.pictures = 0
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [str(value) for name, value in attrs if name in ("src", "srcset", "href")]
        self.pictures += tag == "img"
        if tag not in ("meta", "img", "source"):
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data

    def row(self, name: str) -> list[str]:
        (found,) = [row[1:] for row in self.rows if row[0] == name]
        return found


EVIL = "[[runs]]\nname = '<script>alert(1)</script> & \"quotes\"'\npooling = 'max'\n"


def test_the_page_has_every_run_and_escapes_names(grid: Callable[[str], list[Experiment]]) -> None:
    found = grid(AB + EVIL + "[[runs]]\nname = 'bad'\npooling = 'average'\n")
    run(found, Trainer(bad={"bad": NotFinite("<b>loss</b>")}))
    text = Path("out", PAGE).read_text()
    page = Page(text)
    assert page.open == []
    assert page.row("run") == ["a", "b", '<script>alert(1)</script> & "quotes"', "bad"]
    assert "<script" not in text
    assert "<b>loss" not in text
    assert page.row("style-weight") == ["2", "50", "2", "2"]
    assert page.row("pooling") == ["native", "native", "max", "average"]
    assert page.row("state") == ["finished", "finished", "finished", "failed"]
    assert page.row("style loss")[:2] == ["0.667", "16.7"]
    assert page.row("style loss without weight")[:2] == ["0.333", "0.333"]
    assert page.row("steps") == ["3", "3", "3", "1 of 3"]
    assert all(float(cell) > 0 for cell in page.row("seconds a step")[:3])
    assert page.pictures == 3
    assert sum(address.startswith("data:image/") for address in page.addresses) == 3
    assert text.count("<svg>") == 1 + 4  # the losses of all, the losses of each


def test_the_page_needs_no_other_place(grid: Callable[[str], list[Experiment]]) -> None:
    run(grid(AB + EVIL), Trainer())
    page = Page(Path("out", PAGE).read_text())
    for address in page.addresses:
        assert address.startswith("data:") or Path("out", address).is_file()  # no escapes in folders' names
    assert "http" not in Path("out", PAGE).read_text()


def test_the_page_tells_of_runs_to_come(grid: Callable[[str], list[Experiment]]) -> None:
    moments = run_experiments(grid(AB), Path("out"), train=Trainer(), title="grid", report_error=pytest.fail)
    for at in moments:
        if at.step is None:
            break
    page = Page(Path("out", PAGE).read_text())
    assert page.row("state") == ["finished", "not started"]
    assert page.row("steps") == ["3", ""]
    moments.close()


def test_the_losses_of_all_are_without_weights_only_where_those_differ(
    grid: Callable[[str], list[Experiment]],
) -> None:
    run(grid("[grid]\nseed = [0, 1]\n"), Trainer())
    text = Path("out", PAGE).read_text()
    assert "without weight" not in text
    assert Page(text).row("run") == ["1", "2"]
    assert Page(text).row("seed") == ["0", "1"]
    run(grid("[grid]\nstyle-weight = [1, 2]\n"), Trainer(), Path("other"))
    assert "without weights, since those differ" in Path("other", PAGE).read_text()


def test_a_damaged_sample_does_not_end_the_report(grid: Callable[[str], list[Experiment]]) -> None:
    run(grid(AB), Trainer())
    Path("out/a/samples/step-000003.png").write_bytes(b"half")
    run(grid(AB), Trainer())
    assert "cannot be read" in Path("out", PAGE).read_text()


def test_the_same_as_data(grid: Callable[[str], list[Experiment]]) -> None:
    run(grid(AB), Trainer(bad={"b": NotFinite("no")}))
    a, b = json.loads(Path("out", DATA).read_text())["runs"]
    assert (a["name"], a["state"], a["losses"]["style"]) == ("a", "finished", pytest.approx(2 / 3, abs=1e-4))
    assert (b["name"], b["state"], b["error"], b["settings"]) == ("b", "failed", "no", {"style_weight": 50.0})
