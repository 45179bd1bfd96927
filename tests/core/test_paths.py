"""Files that are whole or not there, and where the cache lies."""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from pathlib import Path

import pytest

from impasto.core.paths import cache_dir, folder_lock, sha256_of, written_whole


def test_the_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "er" / "a.txt"
    with written_whole(target) as temporary:
        temporary.write_text("new")
        assert not target.exists()
        assert temporary.parent == target.parent
        assert temporary.suffix == ".txt"
    assert target.read_text() == "new"
    assert [p.name for p in target.parent.iterdir()] == ["a.txt"]


def break_off(target: Path, error: type[BaseException]) -> None:
    with written_whole(target) as temporary:
        temporary.write_text("half")
        raise error


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_nothing_behind(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error):
        break_off(tmp_path / "a.txt", error)
    assert list(tmp_path.iterdir()) == []


def test_an_error_leaves_the_old_file_as_it_was(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(ValueError):  # noqa: PT011
        break_off(target, ValueError)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_links_are_followed_and_modes_kept(tmp_path: Path) -> None:
    target, link = tmp_path / "deep" / "target.txt", tmp_path / "link.txt"
    target.parent.mkdir()
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to(target)
    with written_whole(link) as temporary:
        temporary.write_text("new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_two_writers_do_not_meet(tmp_path: Path) -> None:
    with written_whole(tmp_path / "a") as one, written_whole(tmp_path / "a") as other:
        assert one != other
        one.write_text("1")
        other.write_text("2")
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_long_name_stays_possible(tmp_path: Path) -> None:
    target = tmp_path / ("ä" * 125 + ".png")  # 254 of the 255 bytes that file systems allow
    with written_whole(target) as temporary:
        temporary.write_bytes(b"x")
    assert target.read_bytes() == b"x"


@pytest.mark.skipif(os.name == "nt", reason="modes are of POSIX systems")
def test_the_mode_is_that_of_any_new_file(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with written_whole(tmp_path / "a") as temporary:
            temporary.write_bytes(b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_the_cache_is_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "here"))
    assert cache_dir() == tmp_path / "here"
    assert not cache_dir().exists()
    monkeypatch.delenv("IMPASTO_CACHE")
    assert "impasto" in str(cache_dir())


def test_digest(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_of(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()


def test_a_folder_is_locked_by_one_at_a_time(tmp_path: Path) -> None:
    held, order = threading.Event(), list[str]()

    def second() -> None:
        held.wait()
        with folder_lock(tmp_path / "new"):
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with folder_lock(tmp_path / "new"):
        held.set()
        thread.join(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert list((tmp_path / "new").iterdir()) == []


def test_what_cannot_be_locked_is_left_to_the_write_that_follows(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with folder_lock(tmp_path / "file" / "folder"):
        pass
