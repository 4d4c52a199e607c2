"""`GET /v1/register` by version and instant: what a firm is told of its own facts, and what it is told instead."""

from __future__ import annotations

import jsonschema
import pytest

from monitor.gateway.openapi import document
from rules.register import Facility
from streams.access import FacilityEntry
from tests.monitor.gateway_parts import FACILITY, client_of, open_gateway
from tests.monitor.register.samples import facility

SINCE = "2026-03-01T00:00:00+08:00"
REGIME = {"kind": "trial-pilot", "id": "M-1", "group": "trial-11", "from": "2026-03-01", "to": "2026-12-31"}


@pytest.fixture
async def client():
    value = facility(FACILITY, contacts=None, regimes=[REGIME])
    value["sensors"].append(value["sensors"][0] | {"limits": {"high": 8}, "from": SINCE})
    facts = Facility.model_validate(value).model_dump_json(by_alias=True, exclude_none=True)
    app = open_gateway()
    entry = FacilityEntry(facility=FACILITY, tags={}, version=4, facts=facts)
    app.state.gateway.access.apply(f"f:{FACILITY}".encode(), entry.model_dump_json(exclude_none=True).encode())
    async with client_of(app) as opened:
        yield opened


async def ask(client, **params):
    return await client.get("/v1/register", params=params)


async def test_without_an_instant_all_facts_are_told_with_their_beginnings(client):
    told = (await ask(client)).json()
    assert (told["version"], "at" in told) == (4, False)
    assert [sensor.get("from") for sensor in told["facility"]["sensors"]] == [None, "2026-02-28T16:00:00.000Z"]
    assert told["facility"]["regimes"] == [REGIME]


@pytest.mark.parametrize(("at", "limits", "regimes"), [
    (SINCE, {"high": 8.0}, [REGIME]), ("2026-02-28T15:59:59.999Z", None, []), ("2027-01-01T00:00:00+08:00", {"high": 8.0}, []),
])  # fmt: skip
async def test_at_an_instant_what_is_in_force_is_told(client, at, limits, regimes):
    told = (await ask(client, at=at, version=4)).json()
    (sensor,) = told["facility"]["sensors"]
    assert sensor.get("limits") == limits
    assert told["facility"]["regimes"] == regimes
    assert told["at"].endswith("Z")
    described = document()
    schema = {"$ref": "#/components/schemas/RegisterAnswer", "components": described["components"]}
    jsonschema.Draft202012Validator(schema).validate(told)


async def test_another_version_is_not_given_for_the_one_asked_for(client):
    assert (await ask(client, version=4)).status_code == 200
    for version in (3, 5):
        answer = await ask(client, version=version)
        assert (answer.status_code, answer.json()["code"]) == (404, "no_such_version")
        assert "version 4" in answer.json()["detail"]


@pytest.mark.parametrize(("query", "counts"), [
    ("version=x&at=soon&more=1", {"wrong_type": 1, "wrong_form": 1, "unknown_member": 1}),
    ("version=-1", {"out_of_range": 1}), ("version=1&version=1", {"wrong_type": 1}), ("at=2026-03-01", {"wrong_form": 1}),
])  # fmt: skip
async def test_every_fault_of_the_query_is_told(client, query, counts):
    answer = await client.get(f"/v1/register?{query}")
    assert (answer.status_code, answer.json()["counts"]) == (422, counts)


async def test_the_facility_is_named_as_before(client):
    assert (await ask(client, facility=FACILITY)).status_code == 200
    assert (await ask(client, facility="BJ-NONE-1")).status_code == 403
