"""`/openapi.json`: the gateway described from the same Pydantic models that read and answer (OpenAPI 3.1).

Composed by hand, because the routes are plain Starlette: a test holds routes, statuses and examples against the application.
"""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from monitor.gateway.answers import (
    Checked,
    EventTypes,
    Feed,
    Problem,
    ProofChecked,
    ProofList,
    Receipt,
    RegisterAnswer,
    ReportTypes,
)
from monitor.gateway.bodies import MAX_BODY_BYTES
from monitor.gateway.posts import JSON, SENML
from monitor.proofs.content import MEDIA
from monitor.proofs.shelf import ProofName, ProofReceipt
from rules.eventtypes.posts import EventsPost
from rules.eventtypes.posts import example_of as events_example
from rules.instants import Instant
from rules.markpost import MarkPost
from rules.models import FacilityId, Identifier
from rules.posts import ReadingsPost
from rules.reports.posts import ReportPost
from rules.reports.posts import example_of as report_example

PROBLEM = "application/problem+json"
MODELS: tuple[tuple[type, JsonSchemaMode], ...] = (
    *((model, "validation") for model in (ReadingsPost, ReportPost, MarkPost, EventsPost)),
    *(
        (model, "serialization")
        for model in (
            Receipt,
            Checked,
            Problem,
            Feed,
            RegisterAnswer,
            ReportTypes,
            EventTypes,
            ProofReceipt,
            ProofChecked,
            ProofList,
        )
    ),
)

EXAMPLES: dict[str, dict[str, Any]] = {
    "ReadingsPost": {
        "batch": "0192f0c2-7a11",
        "seq": 812,
        "series": [
            {"tag": "CR1.T1", "time": [1767225600000, 1767225660000], "value": [4.8, 4.9]},
            {
                "tag": "CR1.T2",
                "time": [1767225600000, 1767225660000],
                "value": [5.1, None],
                "quality": ["good", "fault"],
            },
        ],
    },
    "ReportPost": report_example("adr-case"),
    "MarkPost": {
        "id": "M-77",
        "revision": 1,
        "tags": ["CR1.T1", "CR1.T2"],
        "flag": "maintenance",
        "from": "2026-03-01T08:00:00+08:00",
        "to": None,
        "reason": "compressor service",
        "author": "u-12",
        "proof": "WO-5513",
    },
    "EventsPost": events_example("device", "door"),
    "Receipt": {
        "id": "0192f0c2-7a11",
        "partition": 3,
        "offset": 57,
        "received": "2026-01-01T00:01:01.123Z",
        "unknown_tags": ["CR1.T2"],
    },
    "Checked": {"id": "0192f0c2-7a11", "checked": True, "unknown_tags": []},
    "ProofReceipt": {
        "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "facility": "BJ-MFR-0007",
        "size": 48213,
        "type": "application/pdf",
        "name": "work order 5513.pdf",
        "received": "2026-03-02T01:05:00.000Z",
        "key": "feed",
        "gateway": "gw-1",
    },
    "Problem": {
        "type": "urn:offsite:problem:contract",
        "title": "The post breaks the contract",
        "title_zh": "提交内容不符合接口约定",
        "status": 422,
        "code": "contract",
        "errors": [{"pointer": "/series/1/value/3", "code": "not_finite", "detail": "a number is finite"}],
        "counts": {"not_finite": 1},
    },
}
SENML_EXAMPLE = [{"bn": "CR1.T1", "bu": "Cel", "bt": 1767225600, "v": 4.8}]

_STORED = "Not known to be stored: send it again with the same id."
_REFUSALS = {
    400: "Malformed: not JSON, not UTF-8, broken compression.",
    401: "No valid key. Only counted.",
    403: "The key is not for this endpoint, facility or tag; or a facility must be named.",
    404: "There is no such thing of this facility (of the register: none lies within what the gateway has read of the log).",
    413: "More than one post may hold.",
    415: "Another content type or encoding.",
    422: "The post breaks the contract; all faults at once.",
    408: "The body came too slowly; nothing is stored.",
    429: "Above the quota of the key, or too much of it at once.",
    503: f"The door is closed or full. {_STORED}",
}


def document() -> dict[str, Any]:
    """Return the OpenAPI document."""
    _, schemas = models_json_schema(
        [(model, mode) for model, mode in MODELS], ref_template="#/components/schemas/{model}"
    )
    parts: dict[str, Any] = schemas["$defs"]
    for name, example in EXAMPLES.items():
        parts[name]["examples"] = [example]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Off-site inspection monitor: the front door of facilities (非现场检查事件流监测：单位接入)",
            "version": "1",
            "description": (
                "One POST is one record of the log; a receipt is given only after the broker's ack, and sending the same "
                "id again changes nothing. 一次提交即日志中的一条记录；仅在代理确认后才给出回执；重复发送同一编号不改变任何结果。"
            ),
        },
        "security": [{"feed_key": []}],
        "paths": {
            **{f"/v1/{name}": {"post": post} for name, post in _posts().items()},
            "/v1/proofs": {"post": _proof(), "get": _query("proofs", "The facility's proofs (证明材料)", "ProofList")},
            "/v1/proofs/{sha256}": {"get": _given()},
            "/v1/feed": {"get": _query("feed", "What arrived of a facility (接收情况)", "Feed")},
            "/v1/register": {"get": _registered()},
            "/v1/report-types": {"get": _listing("report_types", "Every type of report (报告类型)", "ReportTypes")},
            "/v1/event-types": {"get": _listing("event_types", "Every type of event (事件类型)", "EventTypes")},
            "/healthz": {"get": _plain("healthz", "Whether the process lives", JSON, 200)},
            "/readyz": {"get": _plain("readyz", "Whether posts are taken, and why not", JSON, 200, 503)},
            "/metrics": {"get": _plain("metrics", "Figures for Prometheus", "text/plain", 200)},
            "/openapi.json": {"get": _plain("openapi", "This document", JSON, 200)},
        },
        "components": {
            "schemas": parts,
            "securitySchemes": {
                "feed_key": {"type": "http", "scheme": "bearer", "description": "A feed key (接入密钥)"}
            },
        },
    }


def _posts() -> dict[str, Any]:
    senml = _parameter("Idempotency-Key", "header", _schema(Identifier), "The batch id, with SenML only.")
    readings = _post(
        "readings", "Take one batch of readings (提交测点数据)", "50,000 readings, 5,000 series", "ReadingsPost", senml
    )
    readings["requestBody"]["content"][SENML] = {
        "schema": {"type": "array", "description": "RFC 8428"}, "example": SENML_EXAMPLE,
    }  # fmt: skip
    return {
        "readings": readings,
        "reports": _post("reports", "Take one report (提交报告)", "5,000 entries of a list", "ReportPost"),
        "marks": _post("marks", "Take one mark, or its next revision (提交标记)", "5,000 tags", "MarkPost"),
        "events": _post("events", "Take one batch of events (提交事件)", "1,000 events", "EventsPost"),
    }


def _post(name: str, summary: str, most: str, model: str, *more: dict[str, Any]) -> dict[str, Any]:
    check = {"enum": ["true", "false"], "default": "false"}
    return {
        "operationId": name,
        "summary": summary,
        "description": f"At most {MAX_BODY_BYTES} bytes after decoding, {most}, JSON depth 16.",
        "parameters": [
            _facility(),
            _parameter("check", "query", check, "`true`: validate and answer without storing."),
            _parameter("Content-Encoding", "header", {"enum": ["identity", "gzip", "zstd"]}, "One encoding at most."),
            *more,
        ],
        "requestBody": {"required": True, "content": {JSON: {"schema": _ref(model)}}},
        "responses": {
            "200": _answer("Answer to `check=true`: it would be taken.", "Checked"),
            "202": _answer("The record is stored.", "Receipt"),
            **_refused(400, 401, 403, 408, 413, 415, 422, 429, 503),
        },
    }


def _proof() -> dict[str, Any]:
    name = _parameter("name", "query", _schema(ProofName), "What the sender calls it; shown, nothing else.")
    check = _parameter(
        "check", "query", {"enum": ["true", "false"], "default": "false"}, "`true`: look at it, keep nothing."
    )
    digest = _parameter("Content-Digest", "header", {"type": "string"}, "RFC 9530, sha-256: what came must have it.")
    return {
        "operationId": "proof",
        "summary": "Upload a proof (上传证明材料)",
        "description": (
            "The content is the body, of one of the types, at most OFFSITE_PROOFS_MAX_BYTES (16 MiB unless set otherwise), "
            "without a Content-Encoding. Its SHA-256 is its id: it goes into `proof` of a mark or an amendment, and sending "
            "it again gives the same receipt. 正文即文件内容；其 SHA-256 即编号，可填入标记或补正的 proof 字段；重复上传得到同一回执。"
        ),
        "parameters": [_facility(), check, name, digest],
        "requestBody": {"required": True, "content": {media: {"schema": {"type": "string"}} for media in MEDIA}},
        "responses": {
            "200": {
                "description": "It was kept before: the receipt of then. Or the answer to `check=true`.",
                "content": {JSON: {"schema": {"anyOf": [_ref("ProofReceipt"), _ref("ProofChecked")]}}},
            },
            "201": _answer("It is kept.", "ProofReceipt"),
            **_refused(401, 403, 408, 413, 415, 422, 429, 503),
        },
    }


def _given() -> dict[str, Any]:
    sha256 = {
        "name": "sha256",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    }
    content = {media: {"schema": {"type": "string"}} for media in MEDIA}
    return {
        "operationId": "proof_content",
        "summary": "Download a proof that this facility uploaded (下载本单位的证明材料)",
        "parameters": [sha256, _facility()],
        "responses": {
            "200": {"description": "Its content, as a download.", "content": content},
            **_refused(401, 403, 404, 429, 503),
        },
    }


def _listing(name: str, summary: str, model: str) -> dict[str, Any]:
    return {
        "operationId": name,
        "summary": summary,
        "responses": {"200": _answer(summary, model), **_refused(401, 429, 503)},
    }


def _query(name: str, summary: str, model: str, *more: int) -> dict[str, Any]:
    return {
        "operationId": name,
        "summary": summary,
        "parameters": [_facility()],
        "responses": {"200": _answer(summary, model), **_refused(401, 403, *more, 429, 503)},
    }


def _registered() -> dict[str, Any]:
    query = _query("register", "The facility's registered facts (登记信息)", "RegisterAnswer", 404, 422)
    version = _parameter("version", "query", {"type": "integer", "minimum": 0}, "Only of this version: else 404.")
    at = _parameter("at", "query", _schema(Instant), "Facts in force at this instant; else all, with their `from`.")
    query["parameters"] += [version, at]
    return query


def _plain(name: str, summary: str, media: str, *statuses: int) -> dict[str, Any]:
    schema = {"type": "object"} if media == JSON else {"type": "string"}
    return {
        "operationId": name,
        "summary": summary,
        "security": [],
        "responses": {str(s): {"description": summary, "content": {media: {"schema": schema}}} for s in statuses},
    }


def _facility() -> dict[str, Any]:
    return _parameter(
        "facility",
        "query",
        _schema(FacilityId),
        "Named by a key that serves several facilities (多家单位的密钥须指明).",
    )


def _parameter(name: str, place: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": place, "required": False, "schema": schema, "description": description}


def _schema(kind: Any) -> dict[str, Any]:  # noqa: ANN401 - an annotated type is no class
    return TypeAdapter(kind).json_schema()


def _answer(description: str, model: str) -> dict[str, Any]:
    return {"description": description, "content": {JSON: {"schema": _ref(model)}}}


def _refused(*statuses: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for status in statuses:
        found[str(status)] = {"description": _REFUSALS[status], "content": {PROBLEM: {"schema": _ref("Problem")}}}
        if status in {429, 503}:
            found[str(status)]["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}
    return found


def _ref(model: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model}"}
