from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from impasto.core.errors import ChecksumMismatch, DownloadFailed, OptionError, WeightsError
from impasto.weights.download import Download

from .conftest import Served

BODY = bytes(range(256)) * 400
DIGEST = hashlib.sha256(BODY).hexdigest()
OTHER = hashlib.sha256(b"other").hexdigest()


@pytest.fixture
def target(tmp_path: Path, served: Served) -> Path:
    served.files["/w.pth"] = BODY
    return tmp_path / "cache" / "w.pth"


def download(urls: str | Sequence[str], target: Path, **options: Any) -> str:
    return Download(target=target, **options).fetch(*([urls] if isinstance(urls, str) else urls))


def fetch(served: Served, target: Path, *, sha256: str | None = DIGEST, **more: object) -> str:
    return download(served.url("w.pth"), target, sha256=sha256, backoff_s=0, **more)


def part(target: Path) -> Path:
    return target.with_name("w.pth.part")


def names_in(folder: Path) -> list[str]:
    """Every file but the lock."""
    return [path.name for path in folder.iterdir() if path.suffix != ".lock"]


def only_the_file_is_left(target: Path) -> bool:
    return names_in(target.parent) == ["w.pth"] and target.read_bytes() == BODY


@pytest.mark.parametrize("sha256", [DIGEST, DIGEST[:8], DIGEST.upper()])
def test_a_file_arrives_verified(served: Served, target: Path, sha256: str) -> None:
    seen: list[tuple[int, int | None]] = []
    assert fetch(served, target, sha256=sha256, progress=lambda done, total: seen.append((done, total))) == DIGEST
    assert only_the_file_is_left(target)
    assert seen[-1] == (len(BODY), len(BODY))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_the_size_is_unknown_when_the_server_does_not_say_it(served: Served, target: Path) -> None:
    served.says_length = False
    seen: list[int | None] = []
    fetch(served, target, progress=lambda _, total: seen.append(total))
    assert set(seen) == {None}
    assert only_the_file_is_left(target)


def test_a_cut_connection_is_resumed_where_it_ended(served: Served, target: Path) -> None:
    served.cuts = [1000, 2000]
    seen: list[tuple[int, int | None]] = []
    fetch(served, target, progress=lambda done, total: seen.append((done, total)))
    assert [asked for _, asked in served.asked] == [None, "bytes=1000-", "bytes=3000-"]
    assert only_the_file_is_left(target)
    assert {total for _, total in seen} == {len(BODY)}


def test_progress_renews_the_patience(served: Served, target: Path) -> None:
    served.cuts = [100] * 9
    fetch(served, target, attempts=2)
    assert only_the_file_is_left(target)


def test_a_server_that_gives_nothing_new_is_given_up_and_the_part_kept(served: Served, target: Path) -> None:
    served.cuts = [1000, 0, 0, 0, 0]
    with pytest.raises(DownloadFailed, match="1000 bytes are kept"):
        fetch(served, target, attempts=3)
    assert len(served.asked) == 4
    assert not target.exists()
    assert part(target).read_bytes() == BODY[:1000]
    served.cuts = []
    fetch(served, target)
    assert served.asked[-1] == ("/w.pth", "bytes=1000-")
    assert only_the_file_is_left(target)


def test_without_ranges_it_starts_over(served: Served, target: Path) -> None:
    served.ranges, served.cuts = False, [1000]
    fetch(served, target)
    assert only_the_file_is_left(target)


def test_without_ranges_it_is_given_up_too(served: Served, target: Path) -> None:
    served.ranges, served.cuts = False, [1000] * 20
    with pytest.raises(DownloadFailed):
        fetch(served, target, attempts=3)
    assert len(served.asked) == 4


def test_a_range_that_begins_elsewhere_is_not_appended(served: Served, target: Path) -> None:
    served.wrong_range, served.cuts = True, [1000]
    fetch(served, target)
    assert [asked for _, asked in served.asked] == [None, "bytes=1000-", None]
    assert only_the_file_is_left(target)


def test_a_short_answer_is_noticed_by_the_range_it_names(served: Served, target: Path) -> None:
    target.parent.mkdir()
    part(target).write_bytes(BODY[:1000])
    served.says_length, served.cuts = False, [500]
    fetch(served, target)
    assert [asked for _, asked in served.asked] == ["bytes=1000-", "bytes=1500-"]
    assert only_the_file_is_left(target)


def test_a_part_that_is_whole_needs_no_transfer(served: Served, target: Path) -> None:
    target.parent.mkdir()
    part(target).write_bytes(BODY)
    fetch(served, target)
    assert served.asked == [("/w.pth", f"bytes={len(BODY)}-")]
    assert only_the_file_is_left(target)


@pytest.mark.parametrize("stale", [b"x" * 5000, BODY + b"too long"])
def test_a_stale_part_is_replaced(served: Served, target: Path, stale: bytes) -> None:
    target.parent.mkdir()
    part(target).write_bytes(stale)
    assert fetch(served, target) == DIGEST
    assert only_the_file_is_left(target)


def test_wrong_bytes_are_removed(served: Served, target: Path) -> None:
    with pytest.raises(ChecksumMismatch, match=f"{DIGEST}; {OTHER} was expected"):
        fetch(served, target, sha256=OTHER)
    assert names_in(target.parent) == []
    assert len(served.asked) == 1


@pytest.mark.parametrize(("status", "requests"), [(404, 1), (403, 1), (503, 3), (429, 3)])
def test_refusals_end_at_once_and_overload_does_not(served: Served, target: Path, status: int, requests: int) -> None:
    served.statuses = [status] * 10
    with pytest.raises(DownloadFailed, match=f"answers {status}"):
        fetch(served, target, attempts=3)
    assert len(served.asked) == requests


def test_overload_passes(served: Served, target: Path) -> None:
    served.statuses = [500, 503]
    fetch(served, target)
    assert only_the_file_is_left(target)


def test_the_next_address_is_tried(served: Served, target: Path) -> None:
    served.files["/bad.pth"] = b"<html>sorry</html>"
    urls = [served.url("gone.pth"), served.url("bad.pth"), served.url("w.pth")]
    assert download(urls, target, sha256=DIGEST, backoff_s=0) == DIGEST
    assert only_the_file_is_left(target)


def test_all_failures_are_told(served: Served, target: Path) -> None:
    urls = [served.url("gone.pth"), served.url("w.pth")]
    with pytest.raises(ChecksumMismatch, match=r"gone.pth answers 404.*was expected"):
        download(urls, target, sha256=OTHER, backoff_s=0)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "no address", "http://[broken/x"])
def test_addresses_that_are_none(url: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match="cannot fetch"):
        download(url, tmp_path / "x", sha256=DIGEST, backoff_s=0, attempts=1)


def test_nothing_to_fetch_from(tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match="no address"):
        download((), tmp_path / "x", sha256=DIGEST)


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match="0 bytes are kept"):
        download("http://127.0.0.1:1/x", tmp_path / "x", sha256=DIGEST, backoff_s=0, attempts=2)


def test_without_a_checksum_the_digest_is_told_and_the_file_refused(served: Served, target: Path) -> None:
    with pytest.raises(WeightsError, match=f"its sha256 is {DIGEST}"):
        fetch(served, target, sha256=None)
    assert not target.exists()
    assert fetch(served, target, sha256=None, allow_unverified=True) == DIGEST
    assert served.asked[-1] == ("/w.pth", None), "without a digest the origin of the bytes is unknown"
    assert only_the_file_is_left(target)


def test_a_wrong_checksum_is_wrong_even_when_unverified_is_allowed(served: Served, target: Path) -> None:
    with pytest.raises(ChecksumMismatch):
        fetch(served, target, sha256=OTHER, allow_unverified=True)


def test_a_file_that_is_there_is_kept(served: Served, target: Path) -> None:
    fetch(served, target)
    fetch(served, target)
    assert len(served.asked) == 1
    target.write_bytes(b"damaged")
    fetch(served, target)
    assert only_the_file_is_left(target)


@pytest.mark.parametrize("sha256", ["", "1234567", "xyzxyzxyz", DIGEST + "0"])
def test_digests_that_are_none(tmp_path: Path, sha256: str) -> None:
    with pytest.raises(OptionError, match="8 to 64 hex digits"):
        download("http://127.0.0.1:1/x", tmp_path / "x", sha256=sha256)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk(served: Served, target: Path) -> None:
    target.parent.mkdir()
    part(target).symlink_to("/dev/full")
    with pytest.raises(DownloadFailed, match="no space left"):
        fetch(served, target)


def test_a_folder_that_cannot_be_made(served: Served, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DownloadFailed, match="cannot write"):
        fetch(served, tmp_path / "file" / "w.pth")


def test_cancelling_keeps_what_came(served: Served, target: Path) -> None:
    def stop(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(served, target, progress=stop)
    assert BODY.startswith(part(target).read_bytes())
    fetch(served, target)
    assert only_the_file_is_left(target)


def test_several_at_once_fetch_it_once(served: Served, target: Path) -> None:
    digests: list[str] = []
    threads = [threading.Thread(target=lambda: digests.append(fetch(served, target))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert digests == [DIGEST] * 4
    assert len(served.asked) == 1
    assert only_the_file_is_left(target)


def test_the_server_here_does_cut(served: Served, target: Path) -> None:
    served.cuts = [10]
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(served.url("w.pth"))


@pytest.mark.parametrize("size_bytes", [None, 1000])
def test_a_server_that_sends_too_much_is_given_up(size_bytes: int | None, served: Served, target: Path) -> None:
    """More than the catalogue's size, or than an absurd one; the next address is tried."""
    served.files["/endless.pth"] = BODY * 3
    served.says_length = False
    urls = [served.url("endless.pth"), served.url("w.pth")]
    if size_bytes is None:
        with pytest.raises(DownloadFailed, match=rf"sends more than the {len(BODY)} bytes"):
            download(urls[0], target, sha256=DIGEST, size_bytes=len(BODY), backoff_s=0)
        assert names_in(target.parent) == []
    else:
        assert download(urls, target, sha256=DIGEST, size_bytes=len(BODY), backoff_s=0) == DIGEST
        assert only_the_file_is_left(target)


def test_a_stale_part_is_not_kept_without_a_digest(served: Served, target: Path) -> None:
    target.parent.mkdir()
    part(target).write_bytes(b"x" * 5000)
    assert fetch(served, target, sha256=None, allow_unverified=True) == DIGEST
    assert only_the_file_is_left(target)


def test_bytes_of_two_servers_are_not_joined_without_a_digest(served: Served, target: Path) -> None:
    served.files["/other.pth"] = b"y" * len(BODY)
    served.cuts = [1000, 0, 0]
    urls = [served.url("other.pth"), served.url("w.pth")]
    digest = download(urls, target, sha256=None, allow_unverified=True, backoff_s=0, attempts=2)
    assert digest == DIGEST
    assert only_the_file_is_left(target)


@pytest.mark.parametrize("sha256", [DIGEST, None])
def test_passwords_and_control_codes_are_not_printed(sha256: str | None, served: Served, tmp_path: Path) -> None:
    address = served.address.replace("http://", "http://me:secret@") + "/gone\x1b[31m.pth"
    with pytest.raises(WeightsError) as caught:
        download(address, tmp_path / "x", sha256=sha256, backoff_s=0, attempts=1)
    message = str(caught.value)
    assert "secret" not in message
    assert "***@127.0.0.1" in message
    assert message.isprintable()
