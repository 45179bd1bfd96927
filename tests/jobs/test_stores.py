"""Batches from and to an object store: moto's S3 server, on a free port of this machine."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from workers import InProcess

from impasto.config.batch import BatchOptions, FolderOptions
from impasto.config.job import Job
from impasto.config.pictures import OutputOptions
from impasto.core.errors import BatchError
from impasto.image import files
from impasto.jobs.batch import planned, shards_of, spec_for
from impasto.jobs.manifest import manifest
from impasto.jobs.page import write_batch_report
from impasto.jobs.shards import painted_shards
from impasto.jobs.stores import Store, store_at
from impasto.session.painting import recipe_of


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    running.start()
    yield f"http://127.0.0.1:{port}"
    running.stop()


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    import s3fs

    for name, value in {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "NO_PROXY": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    s3fs.S3FileSystem().mkdir("pictures")
    yield "s3://pictures"
    s3fs.S3FileSystem().rm("pictures", recursive=True)
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return store_at(str(tmp_path / "store"))
    return store_at(request.getfixturevalue("bucket") + "/store")


def test_a_store_keeps_whole_files(store: Store) -> None:
    assert store.read("a/b.txt") is None
    assert store.names("a") == []
    store.write("a/b.txt", b"one")
    store.write("a/b.txt", b"two")
    with store.staging() as staged:
        (staged / "c").write_bytes(b"three")
        store.take(staged / "c", "a/c.txt")
        assert not (staged / "c").exists()
    assert store.names("a") == ["b.txt", "c.txt"]
    assert (store.read("a/b.txt"), store.read("a/c.txt")) == (b"two", b"three")
    store.remove("a/b.txt")
    store.remove("a/b.txt")
    assert store.names("a") == ["c.txt"]


def test_a_batch_from_and_to_s3(bucket: str, quick_job: Callable[..., Job], tmp_path: Path) -> None:
    inputs = store_at(f"{bucket}/in")
    files.write(tmp_path / "a.png", torch.full((1, 3, 40, 48), 0.3))
    data = (tmp_path / "a.png").read_bytes()
    for name in ("a.png", "sub/b.png", ".hidden/c.png"):
        inputs.write(name, data)
    inputs.write("bad.png", b"no picture")

    def batch() -> Any:
        return planned(
            [f"{bucket}/in"],
            {"style": quick_job(content="")},
            outputs=f"{bucket}/out",
            folder=FolderOptions(),
            written=OutputOptions(),
            options=BatchOptions(),
        )

    with batch() as work, work.store.staging() as staged:
        pool: Any = InProcess(spec_for(work, staged), staging=staged)
        outcomes = list(painted_shards(shards_of(work), pool, store=work.store, staged=staged))
        assert list(staged.iterdir()) == []
        report = write_batch_report(work, outcomes, seconds=1, workers=1)
    assert (report["done"], report["failed"]) == (2, 1)
    outputs = store_at(f"{bucket}/out")
    assert outputs.names("") == ["a-style.png", "batch.html", "batch.json"]
    assert outputs.names("sub") == ["b-style.png"]
    (tmp_path / "b.png").write_bytes(outputs.read("sub/b-style.png") or b"")
    assert recipe_of(tmp_path / "b.png").job.content == f"{bucket}/in/sub/b.png"
    assert (outputs.read("batch.html") or b"").count(b"<figure>") == 2
    with batch() as work:
        assert not work.tasks


def test_a_store_that_is_not_there(bucket: str) -> None:
    with pytest.raises(BatchError, match="does not exist; check its bucket"):
        manifest(["s3://nowhere/in"])
