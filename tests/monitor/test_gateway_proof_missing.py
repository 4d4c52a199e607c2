"""A mark or an amendment that names a proof that was never uploaded: told in the receipt, refused for nothing, waited for by nobody."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
import time

import jsonschema
import pytest

from monitor.commands.schema import schema_text
from monitor.gateway import proofs as door
from streams.access import hash_key
from tests.monitor.gateway_parts import client_of, open_gateway, put
from tests.monitor.proofs.samples import PDF
from tests.monitor.test_gateway_posts import BODIES, MARK, amendment

SHA = hashlib.sha256(PDF).hexdigest()
NAMED = {
    "marks": MARK | {"proof": SHA},
    "reports": amendment("CR1.T1") | {"fields": amendment("CR1.T1")["fields"] | {"proof": SHA}},
}


@pytest.fixture
def app(tmp_path):
    return open_gateway(proofs={"folder": tmp_path / "proofs", "max_bytes": 1024 * 1024})


@pytest.fixture
async def client(app):
    async with client_of(app) as c:
        yield c


async def send(client, name, body, query=""):
    answer = await client.post(f"/v1/{name}{query}", json=body)
    assert answer.status_code == (200 if "check" in query else 202), answer.text
    jsonschema.validate(answer.json(), json.loads(schema_text("checked" if "check" in query else "receipt")))
    return answer.json()


async def upload(client):
    answer = await client.post("/v1/proofs", content=PDF, headers={"Content-Type": "application/pdf"})
    assert answer.status_code == 201, answer.text


@pytest.mark.parametrize("query", ["", "?check=true"])
@pytest.mark.parametrize("name", NAMED)
async def test_the_answer_names_what_is_missing_until_it_is_uploaded(client, name, query):
    assert (await send(client, name, NAMED[name], query))["proof_missing"] == SHA
    await upload(client)
    assert "proof_missing" not in await send(client, name, NAMED[name], query)


async def test_the_record_is_stored_whether_its_proof_is_there_or_not(client, app):
    await send(client, "marks", NAMED["marks"], "?check=true")
    assert app.state.gateway.door.kept == []
    await send(client, "marks", NAMED["marks"])
    await upload(client)
    await send(client, "marks", NAMED["marks"])
    assert [record.proof for _, record in app.state.gateway.door.kept] == [SHA, SHA]


async def test_the_hash_may_be_written_in_capitals(client):
    body = MARK | {"proof": SHA.upper()}
    assert (await send(client, "marks", body))["proof_missing"] == SHA
    await upload(client)
    assert "proof_missing" not in await send(client, "marks", body)


@pytest.mark.parametrize("proof", [None, "WO-5513", "a" * 63, "a" * 65, "g" * 64])
async def test_what_is_no_sha256_is_an_id_of_the_firms_own(client, proof):
    assert "proof_missing" not in await send(client, "marks", MARK | {"proof": proof})


async def test_other_posts_say_nothing_of_proofs(client):
    for name in ("reports", "events"):
        assert "proof_missing" not in await send(client, name, BODIES[name])


async def test_what_another_facility_uploaded_is_missing_here(client, app):
    put(app.state.gateway.access, hash_key("other-key"), facilities=["BJ-WHS-0112"], name="other")
    async with client_of(app, "other-key") as other:
        await upload(other)
    assert (await send(client, "marks", NAMED["marks"]))["proof_missing"] == SHA


async def test_a_receipt_that_is_damaged_is_missing_and_a_folder_that_cannot_be_read_says_nothing(
    client, app, tmp_path, monkeypatch
):
    await upload(client)
    (path,) = (tmp_path / "proofs").rglob(f"{SHA}.json")
    path.chmod(0o600)
    path.write_text("no receipt")
    assert (await send(client, "marks", NAMED["marks"]))["proof_missing"] == SHA

    def fails(*_):
        raise PermissionError("not yours")

    monkeypatch.setattr(type(app.state.gateway.proofs._shelf), "find", fails)
    assert "proof_missing" not in await send(client, "marks", NAMED["marks"])


async def test_a_disk_that_hangs_keeps_no_post_waiting_and_is_not_asked_without_end(client, app, monkeypatch):
    proofs, free, asked = app.state.gateway.proofs, threading.Event(), []

    def hangs(*_):
        asked.append(1)
        free.wait(20)

    monkeypatch.setattr(type(proofs._shelf), "find", hangs)
    monkeypatch.setattr(door, "LOOK_S", 0.01)
    monkeypatch.setattr(door, "LOOKS", 3)
    begun = time.monotonic()
    for _ in range(6):
        assert "proof_missing" not in await send(client, "marks", NAMED["marks"])
    assert time.monotonic() - begun < 10
    assert len(proofs._looks) == 3
    free.set()
    for _ in range(200):
        if not proofs._looks:
            break
        await asyncio.sleep(0.05)
    assert not proofs._looks
    assert len(asked) == 3
    assert (await send(client, "marks", NAMED["marks"]))["proof_missing"] == SHA
