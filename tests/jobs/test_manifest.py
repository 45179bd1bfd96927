from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

from impasto.core.errors import BatchError, ImageUnreadable
from impasto.jobs.manifest import manifest


def drawn(path: Path, shade: int = 0) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6), (shade, 0, 0)).save(path)
    return path.read_bytes()


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for number, name in enumerate(("a.png", "sub/b.png", ".hidden/c.png", "out/a-wave.png")):
        drawn(tmp_path / "in" / name, number)
    (tmp_path / "in" / "notes.md").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def stems(*inputs: str, outputs: str = "") -> list[str]:
    return [entry.stem for entry in manifest(inputs, outputs=outputs)]


def test_folders_keep_their_subfolders_and_outputs_are_left_out(pictures: Path) -> None:
    assert stems("in", outputs="in/out") == ["a", "sub/b"]
    assert stems("in/a.png", "in", outputs="in/out") == ["a", "sub/b"]  # each once
    assert stems("in/*.png") == ["a"]


def test_lists_and_tables_name_pictures_beside_them(pictures: Path) -> None:
    Path("in/list.txt").write_text("# two of them\nsub/b.png\n\na.png\n")
    pyarrow.parquet.write_table(pyarrow.table({"id": [1, 2], "path": ["a.png", "sub/b.png"]}), "in/table.parquet")
    assert stems("in/list.txt") == ["sub/b", "a"]
    assert stems("in/table.parquet") == ["a", "sub/b"]
    keys = [entry.key for entry in manifest(["in/list.txt", "in/table.parquet"])]
    assert keys == [str(pictures / "in/sub/b.png"), str(pictures / "in/a.png")]


def test_members_of_a_shard_are_read_where_they_lie(pictures: Path) -> None:
    data = {"x/1.png": drawn(pictures / "1.png", 1), "x/2.png": drawn(pictures / "2.png", 2), "x/2.json": b"{}"}
    with tarfile.open("shard-7.tar", "w") as tar:
        for name, content in data.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    found = manifest(["shard-7.tar"])
    assert [entry.stem for entry in found] == ["shard-7/x/1", "shard-7/x/2"]
    assert [entry.read() for entry in found] == [data["x/1.png"], data["x/2.png"]]
    assert found[0].key == f"tar://x/1.png::{pictures / 'shard-7.tar'}"
    assert found[0].local is None


def test_inputs_that_cannot_be(pictures: Path) -> None:
    Path("empty").mkdir()
    Path("not.tar").write_text("no tar")
    Path("not.parquet").write_text("no table")
    pyarrow.parquet.write_table(pyarrow.table({"one": ["a"], "two": ["b"]}), "two.parquet")
    for text, message in (
        ("empty", "holds no pictures"),
        ("nowhere", "does not exist"),
        ("in/notes.md", "neither a picture nor a folder"),
        ("not.tar", "cannot be read as a tar shard"),
        ("not.parquet", "not a Parquet table"),
        ("two.parquet", "a string column named path or url is needed"),
        ("nope://bucket/folder", "no file system known to fsspec"),
    ):
        with pytest.raises(BatchError, match=message):
            manifest([text])
    with pytest.raises(BatchError, match="the folder of outputs"):
        manifest(["in/out"], outputs="in/out")
    with pytest.raises(ImageUnreadable, match="does not exist"):
        manifest(["in/gone.png"])[0].read()
