"""Recipes: what made a picture, so that it can be made again."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from impasto.config.job import Job, PaintOptions, StyleSource
from impasto.config.optimise import LossOptions, OptimiseOptions
from impasto.config.pictures import ColourOptions, SizeOptions
from impasto.core.errors import StateError
from impasto.core.paths import sha256_of
from impasto.encoders.table import Encoder
from impasto.image import files
from impasto.methods.optimise import LoadedEncoder
from impasto.session.job_cache import JobCache
from impasto.session.plan import plan_job
from impasto.session.recipe import Recipe, job_again, recipe_for

MakeJob = Callable[..., Job]


@pytest.fixture
def full_job(there: Path, small_job: MakeJob) -> Job:
    """A job with every kind of file and value in it."""
    files.write(there / "mask.png", torch.ones(1, 1, 8, 8))
    return small_job(
        styles=(StyleSource(source=str(there / "style.png"), mask=there / "mask.png", weight=0.25, scale=2.0),),
        paint=PaintOptions(strength=0.5, alpha="drop"),
        size=SizeOptions(exact=(40, 30)),
        colour=ColourOptions(match_output="histogram"),
        optimise=OptimiseOptions(init="picture", init_picture=there / "style.png", steps=(3, 2), seed=9),
    )


def recipe_of(job: Job, folder: Path) -> Recipe:
    return recipe_for(plan_job(job), JobCache().loaded(plan_job(job)), folder=folder)


def seen_through(encoder: Encoder) -> LoadedEncoder:
    return LoadedEncoder(encoder)


def test_json_and_back(full_job: Job, tmp_path: Path) -> None:
    made = recipe_of(full_job, tmp_path)
    text = made.to_json()
    assert "\n" not in text
    assert Recipe.from_json(text, "here") == made
    assert Recipe.from_json(text, "here").to_json() == text
    assert made.differences(made) == []


def test_paths_are_relative_to_the_output(full_job: Job, there: Path, tmp_path: Path) -> None:
    made = recipe_of(full_job, tmp_path / "out")
    up = os.path.join(os.pardir, "in")
    names = {os.path.join(up, name) for name in ("content.png", "style.png", "mask.png", "tiny.safetensors")}
    assert set(made.inputs) == names
    assert str(tmp_path) not in made.to_json()
    for name, digest in made.inputs.items():
        assert sha256_of(Path(os.path.normpath(tmp_path / "out" / name))) == digest
    assert made.job.losses.encoder == os.path.join(up, "tiny.safetensors")
    assert made.job.optimise.init_picture == Path(up) / "style.png"


def test_the_same_job_has_the_same_recipe_later(full_job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = recipe_of(full_job, tmp_path).to_json()
    monkeypatch.setattr("time.time", lambda: 4e9)
    assert recipe_of(full_job, tmp_path).to_json() == first
    assert not re.search(r"20\d\d-\d\d", first)


def test_where_the_job_was_called_from_does_not_matter(
    full_job: Job, there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_job: MakeJob
) -> None:
    monkeypatch.chdir(there)
    plain = small_job()
    near = small_job(
        content="content.png",
        styles=(StyleSource(source="style.png"),),
        losses=dataclasses.replace(plain.losses, encoder="tiny.safetensors"),
    )
    assert recipe_of(near, tmp_path).to_json() == recipe_of(plain, tmp_path).to_json()


def test_it_says_what_decides_the_last_bits(small_job: MakeJob, tmp_path: Path) -> None:
    made = recipe_of(small_job(), tmp_path)
    assert made.made_with["threads"] == torch.get_num_threads()
    assert made.made_with["arithmetic"] == "float32"
    assert made.made_with["torch"] == torch.__version__


def test_an_encoder_file_is_known_by_its_checksum(small_job: MakeJob, there: Path, tmp_path: Path) -> None:
    made = recipe_of(small_job(), tmp_path)
    digest = sha256_of(there / "tiny.safetensors")
    assert made.weights == {"narrow": digest}
    assert made.inputs[os.path.join("in", "tiny.safetensors")] == digest


def test_a_named_encoder_is_no_file(small_job: MakeJob, tmp_path: Path, encoder: Encoder) -> None:
    made = recipe_for(
        plan_job(small_job(losses=LossOptions(encoder="compact-vgg"))), seen_through(encoder), folder=tmp_path
    )
    assert made.job.losses.encoder == "compact-vgg"
    assert not any("compact-vgg" in name for name in made.inputs)


@pytest.mark.parametrize("name", ["weights", "weights.ckpt", "~/weights"])
def test_an_encoder_file_of_any_name_is_found_again(
    name: str, small_job: MakeJob, there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder: Encoder
) -> None:
    (there / "tiny.safetensors").rename(there / Path(name).name)
    monkeypatch.chdir(there)
    monkeypatch.setenv("HOME", str(there))
    monkeypatch.setenv("USERPROFILE", str(there))
    job = small_job(losses=LossOptions(encoder=name))
    for folder in (there, tmp_path / "elsewhere"):
        made = recipe_for(plan_job(job), seen_through(encoder), folder=folder)
        monkeypatch.chdir(tmp_path)
        again = job_again(made, folder=folder)
        assert Path(again.losses.encoder).samefile(there / Path(name).name)
        monkeypatch.chdir(there)


def test_the_job_again(full_job: Job, tmp_path: Path) -> None:
    again = job_again(recipe_of(full_job, tmp_path / "out"), folder=tmp_path / "out")
    assert again == full_job


def test_through_a_linked_folder(small_job: MakeJob, tmp_path: Path) -> None:
    (tmp_path / "deep" / "er" / "out").mkdir(parents=True)
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "deep" / "er" / "out", target_is_directory=True)
    again = job_again(recipe_of(small_job(), link), folder=link)
    assert Path(again.content).is_file()
    assert Path(again.losses.encoder).is_file()


def test_missing_and_changed_inputs_are_all_named(small_job: MakeJob, there: Path, tmp_path: Path) -> None:
    made = recipe_of(small_job(), tmp_path)
    (there / "content.png").unlink()
    (there / "style.png").write_bytes(b"other")
    with pytest.raises(StateError, match=r"content\.png is missing; .*style\.png has changed") as caught:
        job_again(made, folder=tmp_path)
    assert "tiny" not in str(caught.value)


def test_a_start_that_is_not_used_is_no_input(small_job: MakeJob, there: Path, tmp_path: Path) -> None:
    unused = OptimiseOptions(init_picture=there / "nowhere.png", steps=(1,))
    assert not any("nowhere" in name for name in recipe_of(small_job(optimise=unused), tmp_path).inputs)


def test_moved_to_another_folder(full_job: Job, tmp_path: Path) -> None:
    here, other = tmp_path / "out", tmp_path / "a" / "b"
    moved = recipe_of(full_job, here).moved(here, other)
    assert moved == recipe_of(full_job, other)
    assert moved.moved(other, other) is moved


def test_drives_that_no_path_joins(small_job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_way(path: str, start: str) -> str:
        raise ValueError("path is on mount 'C:', start on mount 'D:'")

    monkeypatch.setattr(os.path, "relpath", no_way)
    made = recipe_of(small_job(), tmp_path / "out")
    monkeypatch.undo()
    assert job_again(made, folder=tmp_path / "out") == small_job()


def test_names_that_are_no_unicode(small_job: MakeJob, there: Path, tmp_path: Path) -> None:
    odd = there / os.fsdecode(b"caf\xe9.png")
    try:
        odd.write_bytes((there / "content.png").read_bytes())
    except OSError:
        pytest.skip("this file system takes Unicode names only")
    text = recipe_of(small_job(content=str(odd)), tmp_path).to_json()
    text.encode("utf-8")
    assert job_again(Recipe.from_json(text, "here"), folder=tmp_path).content == str(odd)


def test_differences_are_named(small_job: MakeJob, tmp_path: Path) -> None:
    one = recipe_of(small_job(), tmp_path)
    other = dataclasses.replace(
        one, job=small_job(paint=PaintOptions(strength=2.0)), made_with={**one.made_with, "threads": 7}
    )
    found = one.differences(dataclasses.replace(other, job=dataclasses.replace(one.job, paint=other.job.paint)))
    assert found == ["job.paint.strength", "made_with.threads"]


@pytest.mark.parametrize(
    "spoilt",
    [
        "",
        "{}",
        "[]",
        "null",
        "{" * 9,
        '{"job": 1, "inputs": {}, "weights": {}, "made_with": {"threads": 1}}',
        '{"job": {"content": "a", "styles": [{"source": "b", "mask": "m"}]}, "inputs": {}, "weights": {}, '
        '"made_with": {"threads": 1}}',
        '{"job": {"content": "a", "styles": [], "magic": 1}, "inputs": {}, "weights": {}, "made_with": {"threads": 1}}',
    ],
)
def test_what_is_no_recipe(spoilt: str) -> None:
    with pytest.raises(StateError, match="the recipe in here cannot be read") as caught:
        Recipe.from_json(spoilt, "here")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [("inputs", []), ("inputs", {"a": 1}), ("weights", None), ("made_with", {}), ("made_with", {"threads": "two"})],
)
def test_spoilt_parts(key: str, value: object, small_job: MakeJob, tmp_path: Path) -> None:
    data = recipe_of(small_job(), tmp_path).to_dict()
    Recipe.from_json(json.dumps(data), "here")
    with pytest.raises(StateError, match="cannot be read"):
        Recipe.from_json(json.dumps({**data, key: value}), "here")


# Methods


def test_it_names_all_weights_and_the_method(quick_job: MakeJob, there: Path, tmp_path: Path) -> None:
    job = quick_job()
    made = recipe_of(dataclasses.replace(job, paint=dataclasses.replace(job.paint, method="auto")), tmp_path)
    assert made.job.paint.method == "arbitrary"
    assert made.weights == {
        "net": sha256_of(there / "net.safetensors"),
        "narrow": sha256_of(there / "tiny.safetensors"),
    }
    assert made.job.arbitrary.network == os.path.join("in", "net.safetensors")
    assert os.path.join("in", "net.safetensors") in made.inputs
    assert job_again(made, folder=tmp_path) == job


def test_defaults_of_another_method_are_left_open(quick_job: MakeJob, small_job: MakeJob, tmp_path: Path) -> None:
    for job, foreign in ((quick_job(), {"losses", "optimise"}), (small_job(), {"arbitrary"})):
        data = recipe_of(job, tmp_path).to_dict()
        assert not foreign & data["job"].keys()
        assert Recipe.from_json(json.dumps(data), "here").to_dict() == data


def test_recipes_from_before_there_were_methods(small_job: MakeJob, tmp_path: Path) -> None:
    made = recipe_of(small_job(), tmp_path)
    for paint in ({"strength": 1.0, "method": "auto"}, {"strength": 1.0}):
        data = made.to_dict()
        data["job"] = {**data["job"], "paint": {**paint, "feather": 0.02, "alpha": "keep"}}
        data["job"]["optimise"] = {**data["job"]["optimise"], "precision": "float32"}
        assert Recipe.from_json(json.dumps(data), "here") == made


def test_a_saved_style_is_an_input(quick_job: MakeJob, there: Path, tmp_path: Path) -> None:
    (there / "kept.safetensors").write_bytes(b"any")
    job = quick_job(styles=(StyleSource(source=str(there / "kept.safetensors")),))
    name = os.path.join("in", "kept.safetensors")
    assert recipe_of(job, tmp_path).inputs[name] == sha256_of(there / "kept.safetensors")


@pytest.mark.parametrize("threads", [0, -1, 10**9, 10**30, True, "2", None])
def test_absurd_threads_are_refused(threads: object, full_job: Job, tmp_path: Path) -> None:
    made = json.loads(recipe_of(full_job, tmp_path).to_json())
    made["made_with"]["threads"] = threads
    with pytest.raises(StateError, match="cannot be read"):
        Recipe.from_json(json.dumps(made), "here")
