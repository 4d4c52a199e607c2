"""The document and the application say the same."""

from __future__ import annotations

import json

import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from pydantic import TypeAdapter
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.applications import Starlette
from starlette.routing import Route

from monitor.gateway import answers
from monitor.gateway.figures import STATUSES
from monitor.gateway.openapi import EXAMPLES, MODELS, SENML_EXAMPLE, document
from monitor.gateway.texts import CLOSED, NOTES, TITLES
from monitor.proofs.content import MEDIA
from rules.senml import read_senml
from tests.monitor.gateway_parts import GOOD, KEY, client_of, open_gateway

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def described():
    return document()


def test_every_route_stands_in_it_and_nothing_else(described):
    routes = {
        (route.path, method.lower())
        for route in open_gateway().routes
        if isinstance(route, Route)
        for method in route.methods - {"HEAD"}
    }
    assert {(path, method) for path, methods in described["paths"].items() for method in methods} == routes


def test_every_reference_leads_somewhere_and_every_schema_is_one(described):
    parts = described["components"]["schemas"]
    text = json.dumps(described)
    for name in {piece.split('"')[0] for piece in text.split("#/components/schemas/")[1:]}:
        assert name in parts, name
    for name in parts:
        jsonschema.Draft202012Validator.check_schema(whole(described, name))


def whole(described, name):
    return {"$ref": f"#/components/schemas/{name}", "components": described["components"]}


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_every_example_is_valid_by_its_schema_and_its_model(described, name):
    assert described["components"]["schemas"][name]["examples"] == [EXAMPLES[name]]
    jsonschema.Draft202012Validator(whole(described, name)).validate(EXAMPLES[name])
    (model,) = [model for model, _ in MODELS if model.__name__ == name]
    TypeAdapter(model).validate_python(EXAMPLES[name])


def test_the_senml_example_is_taken():
    assert read_senml(json.dumps(SENML_EXAMPLE).encode(), "s-1", {"CR1.T1": "Cel"}).tags == ("CR1.T1",)


def test_every_status_of_a_refusal_is_counted_from_the_start(described):
    named = {s for methods in described["paths"].values() for one in methods.values() for s in one["responses"]}
    assert named <= set(STATUSES)


@pytest.mark.parametrize("texts", [TITLES, NOTES, CLOSED], ids=["titles", "notes", "closed"])
def test_every_text_is_there_in_both_languages(texts):
    for text in texts.values():
        assert text.en.isascii()
        assert any("\u4e00" <= character <= "\u9fff" for character in text.zh)


async def test_it_is_served_as_it_is_and_points_at_no_other_host(described):
    async with client_of(open_gateway(), key="") as client:
        answer = await client.get("/openapi.json")
        assert answer.json() == described
        assert "http://" not in answer.text
        assert "https://" not in answer.text
        assert (await client.get("/docs")).status_code == 404


async def test_what_is_answered_is_of_the_schema_named(described):
    def check(status, name, answer):
        assert answer.status_code == status
        jsonschema.Draft202012Validator(whole(described, name)).validate(answer.json())

    async with client_of(open_gateway()) as client:
        check(202, "Receipt", await client.post("/v1/readings", json=GOOD))
        check(200, "Checked", await client.post("/v1/readings?check=true", json=GOOD))
        check(422, "Problem", await client.post("/v1/readings", json={}))
        check(200, "Feed", await client.get("/v1/feed"))
        check(404, "Problem", await client.get("/v1/register"))
        for path, name in (("reports", "ReportPost"), ("marks", "MarkPost"), ("events", "EventsPost")):
            check(202, "Receipt", await client.post(f"/v1/{path}", json=EXAMPLES[name]))
            check(200, "Checked", await client.post(f"/v1/{path}?check=true", json=EXAMPLES[name]))
            check(422, "Problem", await client.post(f"/v1/{path}", json={}))
        check(200, "ReportTypes", await client.get("/v1/report-types"))
        check(200, "EventTypes", await client.get("/v1/event-types"))
        text = {"Content-Type": "text/plain"}
        check(200, "ProofChecked", await client.post("/v1/proofs?check=true", content=b"a proof", headers=text))
        check(201, "ProofReceipt", await client.post("/v1/proofs", content=b"a proof", headers=text))
        check(200, "ProofReceipt", await client.post("/v1/proofs", content=b"a proof", headers=text))
        check(422, "Problem", await client.post("/v1/proofs", content=b"", headers=text))
        check(200, "ProofList", await client.get("/v1/proofs"))
    assert {model.__name__ for model, _ in MODELS} >= {answers.Feed.__name__, answers.RegisterAnswer.__name__}


@schemathesis.serializer(*MEDIA)
def as_it_is(_context, value):
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


fuzzed = open_gateway(posts_per_minute=1_000_000, queries_per_minute=1_000_000)
# Without the lifespan: there is no broker here.
api = schemathesis.openapi.from_asgi(
    "/openapi.json", Starlette(routes=fuzzed.routes, exception_handlers=fuzzed.exception_handlers)
)
CHECKS = (not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance)


@api.parametrize()
@settings(max_examples=25, suppress_health_check=list(HealthCheck))
def test_whatever_is_sent_is_answered_as_described(case):
    case.headers = dict(case.headers or {}) | {"Authorization": f"Bearer {KEY}"}
    case.call_and_validate(checks=CHECKS)
