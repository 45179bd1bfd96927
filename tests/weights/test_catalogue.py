from __future__ import annotations

import dataclasses
import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from impasto.core.errors import ChecksumMismatch, DownloadFailed, OptionError, UnknownName, WeightsError
from impasto.weights import catalogue
from impasto.weights.catalogue import (
    CATALOGUE,
    CatalogueEntry,
    check_cached,
    entry_of,
    imported_path,
    installed,
    located,
    remove_weights,
)
from impasto.weights.readers import load_weights

from .checkpoints import gatys, pth
from .conftest import Served

BODY = b"weights" * 100
DIGEST = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def tiny(served: Served, monkeypatch: pytest.MonkeyPatch) -> CatalogueEntry:
    served.files["/tiny.pth"] = BODY
    entry = CatalogueEntry(
        name="tiny",
        kind="encoder",
        checkpoint_format="gatys-vgg",
        urls=(served.url("tiny.pth"),),
        sha256=DIGEST[:8],
        size_bytes=len(BODY),
        licence="none",
        about="a test",
    )
    monkeypatch.setitem(CATALOGUE, "tiny", entry)
    return entry


@pytest.mark.parametrize("name", CATALOGUE)
def test_rows_are_whole(name: str) -> None:
    entry = CATALOGUE[name]
    assert entry.name == name
    assert entry.licence
    assert entry.about
    assert all(url.startswith("https://") and url.endswith(entry.file_name) for url in entry.urls)
    if entry.sha256 is not None and "-" in entry.file_name:
        assert entry.sha256[:8] in entry.file_name, "torch.hub's file names carry the first digits"


def test_the_default_names_exist() -> None:
    names = {"compact-vgg", "vgg16", "vgg19", "vgg16-caffe", "vgg19-caffe", "vgg19-normalised", "vgg19-gatys"}
    assert names <= CATALOGUE.keys()
    assert len({entry.file_name for entry in CATALOGUE.values()}) == len(CATALOGUE), (
        "or they share a place in the cache"
    )


def test_bad_rows_are_refused() -> None:
    with pytest.raises(OptionError, match="hex digits"):
        CatalogueEntry(
            name="x", kind="encoder", checkpoint_format="d", urls=("u",), sha256="abc", licence="l", about="a"
        )
    with pytest.raises(OptionError, match="either urls or a bundled file"):
        CatalogueEntry(name="x", kind="encoder", checkpoint_format="d", licence="l", about="a")


def test_rows_are_found_by_digest(tiny: CatalogueEntry) -> None:
    assert entry_of(DIGEST) == tiny
    assert entry_of(str(CATALOGUE["vgg19"].sha256)) == CATALOGUE["vgg19"]
    assert entry_of("0" * 64) is None


def test_a_path_is_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mine.pth"
    path.write_bytes(BODY)
    assert located(path) == path
    assert located(str(path)) == path
    monkeypatch.setenv("HOME", str(tmp_path))
    assert located("~/mine.pth") == path


@pytest.mark.parametrize("name", ["gone.pth", "folder/gone", "a\0b/c", "x" * 5000 + ".pth"])
def test_a_path_that_does_not_exist(name: str) -> None:
    with pytest.raises(WeightsError, match=r"the weight file .* does not exist"):
        located(name)


def test_an_unknown_name_brings_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"unknown weights 'vgg18'\. Did you mean 'vgg1"):
        located("vgg18")


@pytest.mark.parametrize("name", ["", "~nobody-of-this-name", "y" * 5000])
def test_strange_names_are_unknown(name: str) -> None:
    with pytest.raises(UnknownName):
        located(name)


def test_a_name_is_fetched_once(tiny: CatalogueEntry, served: Served, cache: Path) -> None:
    seen: list[int] = []
    path = located("tiny", progress=lambda done, total: seen.append(done))
    assert path == cache / "tiny.pth"
    assert path.read_bytes() == BODY
    assert seen[-1] == len(BODY)
    assert located("tiny") == path
    assert len(served.asked) == 1


def test_a_cached_file_of_another_size_is_refused(tiny: CatalogueEntry, cache: Path) -> None:
    cache.mkdir()
    (cache / "tiny.pth").write_bytes(BODY[:-1])
    with pytest.raises(ChecksumMismatch, match="Delete it"):
        located("tiny")


def test_a_file_put_into_the_cache_serves_offline(
    tiny: CatalogueEntry, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMPASTO_OFFLINE", "1")
    cache.mkdir()
    (cache / "tiny.pth").write_bytes(BODY)
    assert located("tiny") == cache / "tiny.pth"


def test_offline_makes_no_connection(tiny: CatalogueEntry, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPASTO_OFFLINE", "1")
    with pytest.raises(DownloadFailed, match="IMPASTO_OFFLINE forbids"):
        located("tiny")
    assert served.asked == []
    monkeypatch.setenv("IMPASTO_OFFLINE", "0")
    located("tiny")


@pytest.mark.parametrize("ending", ["", "/"])
def test_the_mirror_comes_first(
    tiny: CatalogueEntry, served: Served, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    served.files["/mirror/of/tiny.pth"] = BODY
    monkeypatch.setenv("IMPASTO_MIRROR", served.url("mirror/of") + ending)
    located("tiny")
    assert [path for path, _ in served.asked] == ["/mirror/of/tiny.pth"]


@pytest.mark.parametrize("given", [None, b"something else"])
def test_a_bad_mirror_does_no_harm(
    tiny: CatalogueEntry, served: Served, given: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if given is not None:
        served.files["/mirror/tiny.pth"] = given
    monkeypatch.setenv("IMPASTO_MIRROR", served.url("mirror"))
    assert located("tiny").read_bytes() == BODY
    assert [path for path, _ in served.asked] == ["/mirror/tiny.pth", "/tiny.pth"]


def test_an_unverified_file_must_be_allowed(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    served.files["/u.pth"] = BODY
    entry = CatalogueEntry(
        name="u", kind="encoder", checkpoint_format="d", urls=(served.url("u.pth"),), licence="l", about="a"
    )
    monkeypatch.setitem(CATALOGUE, "u", entry)
    with pytest.raises(WeightsError, match=DIGEST):
        located("u")
    assert located("u", allow_unverified=True).read_bytes() == BODY
    assert located("u").read_bytes() == BODY


def test_bundled_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue.importlib.resources, "files", lambda package: tmp_path)
    with pytest.raises(WeightsError, match="missing from this installation"):
        located("compact-vgg")
    assert installed() == []
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "compact-vgg.safetensors").write_bytes(BODY)
    assert located("compact-vgg") == tmp_path / "files" / "compact-vgg.safetensors"
    assert [(found.name, found.origin) for found in installed()] == [("compact-vgg", "bundled")]


def test_installed_lists_what_is_here(tiny: CatalogueEntry, cache: Path) -> None:
    located("tiny")
    (cache / "imported").mkdir()
    for name in ("mine.safetensors", ".mine-half.safetensors", "no name.safetensors", "vgg19.safetensors", "x.txt"):
        (cache / "imported" / name).write_bytes(BODY)
    found = [(f.name, f.origin, f.size_bytes) for f in installed() if f.origin != "bundled"]
    assert found == [("tiny", "downloaded", len(BODY)), ("mine", "imported", len(BODY))]
    assert located("mine") == cache / "imported" / "mine.safetensors"
    with pytest.raises(UnknownName, match="Did you mean 'mine'"):
        located("mine2")


@pytest.mark.parametrize("name", ["", "a b", "../x", "-x", "a/b", "x.pth"])
def test_names_that_cannot_be(name: str) -> None:
    with pytest.raises(OptionError, match="cannot name weights"):
        imported_path(name)


def test_names_of_the_catalogue_are_taken() -> None:
    with pytest.raises(OptionError, match="choose another"):
        imported_path("vgg19")


def test_the_catalogue_needs_no_torch() -> None:
    code = "import sys, impasto.weights.catalogue; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_cached_file_with_another_digest_is_refused(tiny: CatalogueEntry, cache: Path) -> None:
    cache.mkdir()
    (cache / "tiny.pth").write_bytes(BODY)
    check_cached("tiny", cache / "tiny.pth")
    (cache / "tiny.pth").write_bytes(b"?" * len(BODY))
    with pytest.raises(ChecksumMismatch, match="impasto models remove tiny"):
        check_cached("tiny", cache / "tiny.pth")
    check_cached("tiny", cache / "other.pth")


def test_another_network_in_the_cached_file_is_refused(
    tiny: CatalogueEntry, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.mkdir()
    pth(tmp_path, gatys()).rename(cache / "tiny.pth")
    digest = hashlib.sha256((cache / "tiny.pth").read_bytes()).hexdigest()
    monkeypatch.setitem(CATALOGUE, "tiny", dataclasses.replace(tiny, size_bytes=None, sha256=digest))
    assert load_weights("tiny").sha256 == digest
    monkeypatch.setitem(CATALOGUE, "tiny", dataclasses.replace(tiny, size_bytes=None))
    with pytest.raises(ChecksumMismatch, match="has the sha256"):
        load_weights("tiny")


def test_removed_weights_are_gone(tiny: CatalogueEntry, cache: Path) -> None:
    path = located("tiny")
    assert remove_weights("tiny") == path == cache / "tiny.pth"
    assert not path.exists()
    with pytest.raises(WeightsError, match="tiny cannot be removed"):
        remove_weights("tiny")
    with pytest.raises(OptionError, match="part of the package"):
        remove_weights("compact-vgg")
    with pytest.raises(UnknownName):
        remove_weights("nothing")
