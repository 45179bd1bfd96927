"""The HTTP API described as OpenAPI 3.1."""

from __future__ import annotations

from typing import Any

from impasto import __version__
from impasto.web.requests import form

_ID = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
_NAME = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
_JOB = {"$ref": "#/components/schemas/Job"}

_JOB_PROPERTIES: dict[str, Any] = {
    "id": {"type": "string"},
    "kind": {"enum": ["paint", "sheet", "film", "learn"]},
    "title": {"type": "string"},
    "state": {"enum": ["queued", "running", "done", "stopped", "failed", "cancelled"]},
    "step": {"type": "integer"},
    "steps": {"type": "integer"},
    "size": {"type": ["array", "null"], "items": {"type": "integer"}},
    "seconds": {"type": ["number", "null"]},
    "method": {"type": "string"},
    "error": {"type": "string"},
    "version": {"type": "integer", "description": "Grows with every change of the job or its preview."},
    "previews": {"type": "integer", "description": "Grows with every new preview."},
    "live": {"type": "boolean"},
    "draft": {"type": "boolean"},
    "request": {"type": "object", "description": "What was asked for; not in events."},
}

_OPERATIONS: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    ("get", "/api/options", "Every option of a job, by group", {"200": "application/json"}),
    ("get", "/api/styles", "The names and kinds of the styles", {"200": "application/json"}),
    ("post", "/api/styles", "Queue the training of a style", {"202": "application/json"}),
    ("get", "/api/styles/{name}", "A photograph in a style", {"200": "image/jpeg"}),
    ("put", "/api/pictures", "Upload a picture as the raw body", {"201": "application/json"}),
    ("get", "/api/pictures/{id}", "An uploaded picture, scaled down", {"200": "image/jpeg"}),
    ("get", "/api/pictures/{id}/recipe", "The options in a finished picture", {"200": "application/json"}),
    ("put", "/api/saved-styles", "Upload a saved style as the raw body", {"201": "application/json"}),
    ("get", "/api/saved-styles/{id}", "A photograph in an uploaded style", {"200": "image/jpeg"}),
    ("put", "/api/films", "Upload a film as the raw body", {"201": "application/json"}),
    ("get", "/api/films/{id}", "An uploaded film", {"200": "video/mp4"}),
    ("post", "/api/jobs", "Queue a painting, of a picture or of a film", {"202": "application/json"}),
    ("post", "/api/sheets", "Queue a sheet of a picture in every trained style", {"202": "application/json"}),
    ("get", "/api/jobs", "Your jobs", {"200": "application/json"}),
    ("get", "/api/jobs/{id}", "A job", {"200": "application/json"}),
    ("delete", "/api/jobs/{id}", "Cancel a job; what was made so far is kept", {"200": "application/json"}),
    ("get", "/api/jobs/{id}/events", "The job at every change, as server-sent events", {"200": "text/event-stream"}),
    ("get", "/api/jobs/{id}/preview", "The picture so far", {"200": "image/jpeg"}),
    ("get", "/api/jobs/{id}/result", "The finished picture, film or style", {"200": "image/png"}),
)


def document() -> dict[str, Any]:
    """The OpenAPI document."""
    paths: dict[str, dict[str, Any]] = {}
    for method, path, summary, answers in _OPERATIONS:
        operation: dict[str, Any] = {"summary": summary, "responses": _responses(answers)}
        parameters = [p for p in (_ID, _NAME) if f"{{{p['name']}}}" in path]
        if parameters:
            operation["parameters"] = parameters
        paths.setdefault(path, {})[method] = operation
    paths["/api/pictures"]["put"]["requestBody"] = {"content": {"image/*": {"schema": {"format": "binary"}}}}
    paths["/api/films"]["put"]["requestBody"] = {"content": {"video/*": {"schema": {"format": "binary"}}}}
    for path, schema in (("/api/jobs", _request()), ("/api/styles", _training()), ("/api/sheets", _SHEET)):
        paths[path]["post"]["requestBody"] = {"content": {"application/json": {"schema": schema}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "impasto studio", "version": __version__},
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": "X-Impasto-Token"}},
            "schemas": {"Job": {"type": "object", "properties": _JOB_PROPERTIES}},
        },
    }


def _responses(answers: dict[str, str]) -> dict[str, Any]:
    rows: dict[str, Any] = {
        status: {"description": "Success", "content": {kind: {}}} for status, kind in answers.items()
    }
    return rows | {"4XX": {"description": "Refused; `error` says why", "content": {"application/json": {}}}}


def _request() -> dict[str, Any]:
    """The schema of a request for a painting."""
    style = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "picture": {"type": "string", "description": "Id of an uploaded picture"},
            "saved": {"type": "string", "description": "Id of an uploaded saved style"},
            "weight": {"type": "number"},
            "scale": {"type": "number"},
            "mask": {"type": "string", "description": "Id of an uploaded picture, or rest: what other masks leave"},
        },
    }
    return {
        "type": "object",
        "required": ["styles"],
        "properties": {
            "content": {"type": "string", "description": "Id of an uploaded picture"},
            "film": {"type": "string", "description": "Id of an uploaded film, in place of content"},
            "styles": {"type": "array", "items": style},
            "live": {"type": "boolean", "description": "Replace your earlier live jobs."},
            "draft": {"type": "boolean", "description": "Paint from previews, quickly; there is no result to fetch."},
            **_groups(form()["groups"] + form()["film"]),
        },
    }


_SHEET: dict[str, Any] = {
    "type": "object",
    "required": ["content"],
    "properties": {
        "content": {"type": "string", "description": "Id of an upload"},
        "size": {"type": "integer", "description": "Long side of each painting in pixels"},
    },
}


def _training() -> dict[str, Any]:
    """The schema of a request for the training of a style."""
    properties: dict[str, Any] = {
        "picture": {"type": "string", "description": "Id of an upload"},
        "name": {"type": "string", "description": "Name of the new style"},
    }
    return {
        "type": "object",
        "required": ["picture", "name"],
        "properties": properties | _groups(form()["learn"]),
    }


def _groups(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        row["group"]: {
            "type": "object",
            "description": row["about"],
            "properties": {option["name"]: _schema(option) for option in row["options"]},
        }
        for row in rows
    }


def _schema(option: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = {"description": option["help"], "default": option["default"]}
    if "choices" in option:
        schema["enum"] = option["choices"]
    bounds = {"minimum": option.get("low"), "maximum": option.get("high")}
    return schema | {name: bound for name, bound in bounds.items() if bound is not None}
