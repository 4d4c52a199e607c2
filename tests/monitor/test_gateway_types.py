"""The lists of types: every type with its schema, and an example that may be posted as it is."""

from __future__ import annotations

import jsonschema
import pytest
from referencing import Registry

from monitor.gateway.answers import EventTypes, ReportTypes
from monitor.gateway.quota import Quota
from rules.eventtypes.types import STREAMS
from rules.reports.types import TYPES
from tests.monitor.gateway_parts import client_of, open_gateway, put


@pytest.fixture
def gateway():
    return open_gateway()


@pytest.fixture
async def client(gateway):
    async with client_of(gateway) as c:
        yield c


async def test_the_types_of_reports_are_listed_with_schema_and_a_post_that_is_taken(client, gateway):
    answer = await client.get("/v1/report-types")
    listed = ReportTypes.model_validate_json(answer.content).types
    assert answer.headers["cache-control"] == "no-store"
    assert [one.type for one in listed] == list(TYPES)
    for one in listed:
        jsonschema.Draft202012Validator.check_schema(one.schema_)
        validator = jsonschema.Draft202012Validator(one.schema_, registry=Registry())
        validator.validate(one.example["fields"])
        assert not validator.is_valid({})
        assert one.senders
        assert (await client.post("/v1/reports?check=true", json=one.example)).status_code == 200, one.type
    assert gateway.state.gateway.door.kept == []


async def test_the_types_of_events_are_listed_with_schema_and_a_post_that_is_taken(client, gateway):
    listed = EventTypes.model_validate_json((await client.get("/v1/event-types")).content).types
    assert [(one.stream, one.type) for one in listed] == [
        (stream, name) for stream, types in STREAMS.items() for name in types
    ]
    for one in listed:
        jsonschema.Draft202012Validator.check_schema(one.schema_)
        validator = jsonschema.Draft202012Validator(one.schema_, registry=Registry())
        validator.validate(one.example["events"][0]["fields"])
        assert not validator.is_valid({"more": 1})
        assert (await client.post("/v1/events?check=true", json=one.example)).status_code == 200, (one.stream, one.type)
    assert gateway.state.gateway.door.kept == []


@pytest.mark.parametrize("path", ["/v1/report-types", "/v1/event-types"])
async def test_any_valid_key_may_ask_for_them_without_naming_a_facility(client, gateway, path):
    parts = gateway.state.gateway
    put(parts.access, facilities=["AA-1", "BB-2"], endpoints=[])
    assert (await client.get(path)).status_code == 200
    parts.queries = Quota(1, lambda: 100.0)
    assert [(await client.get(path)).status_code for _ in range(2)] == [200, 429]
    assert (await client.get(path, headers={"Authorization": "Bearer nobody"})).status_code == 401
    parts.access.ready.clear()
    assert (await client.get(path)).status_code == 503
    assert (await client.post(path)).status_code == 405
