"""The report of a batch: a page with counts, times, failures and samples, and a file with the same data."""

from __future__ import annotations

import dataclasses
import io
import json
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import impasto
from impasto.analysis.report import JPEG_QUALITY, clock, rendered
from impasto.core.errors import ImpastoError
from impasto.image import files
from impasto.image.inline import address
from impasto.image.pixels import over_white
from impasto.image.resize import fit, resized
from impasto.jobs.batch import PlannedBatch
from impasto.jobs.shards import member_name
from impasto.jobs.stores import Store
from impasto.jobs.tasks import DONE, FAILED, Outcome

PAGE, DATA = "batch.html", "batch.json"
SAMPLES, SAMPLE_PX = 12, 320
LISTED = 200  # failures on the page


@dataclass(frozen=True)
class SamplePair:
    """A content and its painting, as data URLs."""

    name: str
    content: str
    output: str


def write_batch_report(
    batch: PlannedBatch, outcomes: Sequence[Outcome], *, seconds: float, workers: int
) -> dict[str, Any]:
    """Write `batch.html` and `batch.json` to the outputs and return the data. `outcomes` are those of this run.

    Counts are of all runs, times of this one.
    """
    every = {each.identity: each for each in (*batch.known, *outcomes)}.values()
    done, failed = ([each for each in every if each.state == state] for state in (DONE, FAILED))
    painted = [each for each in outcomes if each.state == DONE]
    data = {
        "impasto": impasto.__version__,
        "pictures": batch.total,
        "done": len(done),
        "failed": len(failed),
        "left": batch.total - len(done) - len(failed),
        "this_run": {
            "done": len(painted),
            "seconds": round(seconds, 3),
            "pictures_per_second": round(len(painted) / seconds, 4) if seconds else 0.0,
            "workers": workers,
            "mean_seconds": _means(painted),
        },
        "options": {name: mix.recipe for name, mix in batch.spec.mixes.items()},
        "failures": [dataclasses.asdict(each) for each in failed],
    }
    batch.store.write(DATA, (json.dumps(data, indent=1, ensure_ascii=True) + "\n").encode())
    page = _html(data, failed=failed, sheet=samples(batch, done)).encode("utf-8", "replace")
    batch.store.write(PAGE, page)
    return data


def samples(batch: PlannedBatch, done: Sequence[Outcome]) -> list[SamplePair]:
    """Evenly spaced finished pictures next to their contents; of tar files only the first is used."""
    first = next((each.shard for each in done if each.shard), "")
    chosen = [each for each in done if each.shard == first]
    count = min(SAMPLES, len(chosen))
    entries = {entry.key: entry for entry in batch.entries}
    made = []
    for index in range(count):
        outcome = chosen[index * len(chosen) // count]
        try:
            content = _thumbnail(entries[outcome.key].read(), suffix=_suffix(outcome.key))
            output = _thumbnail(_output(batch.store, outcome), suffix=_suffix(outcome.output))
        except (ImpastoError, OSError, KeyError):  # moved or removed since
            continue
        made.append(SamplePair(outcome.output, content, output))
    return made


def _output(store: Store, outcome: Outcome) -> bytes:
    data = store.read(outcome.shard or outcome.output)
    if data is None:
        raise FileNotFoundError(outcome.output)
    if not outcome.shard:
        return data
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        member = tar.extractfile(member_name(outcome.output, _suffix(outcome.output)))
        assert member is not None
        return member.read()


def _suffix(key: str) -> str:
    return PurePosixPath(key.partition("::")[0]).suffix


def _thumbnail(data: bytes, *, suffix: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"picture{suffix}"
        path.write_bytes(data)
        picture = files.read(path)
    pixels = over_white(picture.pixels, picture.alpha)
    return address(
        resized(pixels, fit(picture.size_hw, long_side_px=SAMPLE_PX, enlarge=False)), "JPEG", quality=JPEG_QUALITY
    )


def _means(outcomes: Sequence[Outcome]) -> dict[str, float]:
    stages = dict.fromkeys(name for each in outcomes for name in each.seconds)
    return {name: round(sum(each.seconds.get(name, 0) for each in outcomes) / len(outcomes), 4) for name in stages}


def _html(data: Mapping[str, Any], *, failed: Sequence[Outcome], sheet: Sequence[SamplePair]) -> str:
    run = data["this_run"]
    numbers = {
        "pictures": data["pictures"],
        "painted": data["done"],
        "failed": data["failed"],
        "left": data["left"],
        "painted in this run": run["done"],
        "pictures a second": f"{run['pictures_per_second']:.3g}",
        "worker processes": run["workers"],
        **{f"mean seconds of {name}": f"{value:.3g}" for name, value in run["mean_seconds"].items()},
    }
    return rendered(
        "impasto.jobs",
        title=f"{data['done']} pictures painted in {', '.join(data['options'])}",
        summary=f"This run took {clock(run['seconds'])}.",
        numbers=numbers,
        failures=failed[:LISTED],
        more_failures=max(0, len(failed) - LISTED),
        data=DATA,
        samples=sheet,
        options=json.dumps(data["options"], ensure_ascii=False, indent=2),
    )
