"""From requests to jobs: what clients may choose, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from impasto.config.job import Job
from impasto.core.errors import OptionError
from impasto.core.options import from_dict
from impasto.web.requests import FILE_OPTIONS, Uploads, form, job_options

NAMES = {"wave": "wave"}
FILES = {"photo": Path("/srv/photo.png"), "brush": Path("/srv/brush.png"), "saved": Path("/srv/saved.safetensors")}
UPLOADS = Uploads(pictures=FILES.__getitem__, films=FILES.__getitem__, saved=FILES.__getitem__, sources=NAMES)


def options(**body: Any) -> dict[str, Any]:
    request = {"content": "photo", "styles": [{"name": "wave"}], **body}
    return job_options(request, UPLOADS)


def test_ids_become_files_and_options_a_job() -> None:
    found = options(styles=[{"picture": "photo", "weight": 2, "mask": "brush"}], paint={"strength": 0.5})
    job = from_dict(Job, found, where="job")
    assert job.content == "/srv/photo.png"
    assert (job.styles[0].source, job.styles[0].weight) == ("/srv/photo.png", 2)
    assert str(job.styles[0].mask) == "/srv/brush.png"
    assert job.paint.strength == 0.5


def test_saved_styles_and_the_rest_of_the_masks() -> None:
    found = options(styles=[{"saved": "saved", "mask": "brush"}, {"name": "wave", "mask": "rest"}])
    first, second = from_dict(Job, found, where="job").styles
    assert (first.source, str(first.mask)) == ("/srv/saved.safetensors", "/srv/brush.png")
    assert second.paints_rest


@pytest.mark.parametrize(
    "text", ["../../etc/passwd", "/etc/passwd", "photo.png", "", "photo\x00", "file:///etc/passwd", "http://a/b.png"]
)
@pytest.mark.parametrize("field", ["content", "style", "saved", "mask", "name"])
def test_no_path_or_address_is_taken(field: str, text: str) -> None:
    bodies: dict[str, dict[str, Any]] = {
        "content": {"content": text},
        "style": {"styles": [{"picture": text}]},
        "saved": {"styles": [{"saved": text}]},
        "mask": {"styles": [{"name": "wave", "mask": text}]},
        "name": {"styles": [{"name": text}]},
    }
    with pytest.raises(OptionError) as error:
        options(**bodies[field])
    assert "srv" not in str(error.value)


@pytest.mark.parametrize(
    "body",
    [
        {"unknown": 1},
        {"styles": []},
        {"styles": "wave"},
        {"styles": [{"name": "wave"}] * 17},
        {"styles": [{"name": "wave", "picture": "photo"}]},
        {"styles": [{"name": "wave", "saved": "saved"}]},
        {"styles": [{"source": "/etc/passwd"}]},
        {"styles": [3]},
        {"content": 3},
        {"content": ["photo"]},
        {"paint": {"strength": 11}},
        {"paint": {"strength": "1"}},
        {"paint": 3},
        {"size": {"size": 1e9}},
        {"optimise": {"init_picture": "/etc/passwd"}},
        {"losses": {"encoder": "/etc/passwd"}},
        {"arbitrary": {"network": "/etc/passwd"}},
    ],
)
def test_bad_requests_are_refused(body: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        options(**body)


def test_a_request_that_is_no_object() -> None:
    with pytest.raises(OptionError, match="not a JSON object"):
        job_options([], UPLOADS)


def test_the_form_offers_every_option_but_files() -> None:
    offered = {(row["group"], option["name"]) for row in form()["groups"] for option in row["options"]}
    assert ("paint", "strength") in offered
    assert not offered & FILE_OPTIONS
    strength = next(option for row in form()["groups"] for option in row["options"] if option["name"] == "strength")
    assert (strength["low"], strength["high"], strength["default"]) == (0, 10, 1.0)
    assert all(option["help"] for row in form()["groups"] for option in row["options"])
