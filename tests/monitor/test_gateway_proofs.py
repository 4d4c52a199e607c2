"""Proofs at the front door: what is kept, what is refused and why, for whom, and what one upload may cost."""

from __future__ import annotations

import asyncio
import hashlib
import tracemalloc
from base64 import b64encode
from types import SimpleNamespace

import jsonschema
import pytest

from monitor.gateway.openapi import document
from monitor.gateway.proofs import HELD_BYTES, LISTED
from monitor.proofs.shelf import DiskFullError
from streams.access import hash_key
from tests.monitor.gateway_parts import FACILITY, GOOD, HASH, client_of, open_gateway, put
from tests.monitor.proofs.samples import CSV, JPEG, PDF, PNG, SAMPLES

OTHER, OTHER_KEY = "BJ-WHS-0112", "other-key"


def sha(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def app(tmp_path):
    app = open_gateway(proofs={"folder": tmp_path / "proofs", "max_bytes": 1024 * 1024})
    put(app.state.gateway.access, hash_key(OTHER_KEY), facilities=[OTHER], name="other")
    app.state.gateway.now_ms = lambda: 1767225661123
    return app


@pytest.fixture
async def client(app):
    async with client_of(app) as c:
        yield c


async def send(client, content, media="application/pdf", query="", **headers):
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.post(f"/v1/proofs{query}", content=content, headers={"Content-Type": media} | names)


def count(app, outcome):
    return app.state.gateway.figures.proofs.labels(outcome)._value.get()


def kept(tmp_path):
    return sorted(path.name for path in tmp_path.rglob("*") if path.is_file() and path.name != ".lock")


@pytest.mark.parametrize("media", SAMPLES)
async def test_a_proof_of_each_type_gets_a_receipt_and_is_given_back_as_it_came(client, media):
    answer = await send(client, SAMPLES[media], media, "?name=工单 5513")
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    assert answer.json() == {
        "sha256": sha(SAMPLES[media]), "facility": FACILITY, "size": len(SAMPLES[media]), "type": media, "name": "工单 5513",
        "received": "2026-01-01T00:01:01.123Z", "key": "feed", "gateway": "gw-1",
    }  # fmt: skip
    got = await client.get(f"/v1/proofs/{sha(SAMPLES[media])}")
    assert (got.status_code, got.content, got.headers["content-type"]) == (200, SAMPLES[media], media)


async def test_it_is_served_as_a_download_and_nothing_else(client):
    await send(client, PDF)
    got = await client.get(f"/v1/proofs/{sha(PDF)}")
    assert got.headers["content-disposition"] == f'attachment; filename="{sha(PDF)[:16]}.pdf"'
    assert got.headers["x-content-type-options"] == "nosniff"
    assert got.headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert got.headers["cache-control"] == "no-store"
    assert got.headers["repr-digest"] == f"sha-256=:{b64encode(hashlib.sha256(PDF).digest()).decode()}:"


async def test_the_same_content_again_is_the_same_receipt_and_kept_once(app, client, tmp_path):
    first = await send(client, PDF, query="?name=first")
    app.state.gateway.now_ms = lambda: 1767999999999
    again = await send(client, PDF, query="?name=second")
    assert (again.status_code, again.content) == (200, first.content)
    assert kept(tmp_path) == [sha(PDF), f"{sha(PDF)}.json"]
    assert (count(app, "stored"), count(app, "again")) == (1, 1)
    assert app.state.gateway.figures.proof_bytes._value.get() == len(PDF)


async def test_a_mark_names_it_by_its_hash(client, app):
    named = (await send(client, PDF)).json()["sha256"]
    mark = {"id": "M-1", "revision": 1, "tags": ["CR1.T1"], "flag": "maintenance", "from": 1767225600000, "to": None,
            "reason": "service", "author": "u-12", "proof": named}  # fmt: skip
    assert (await client.post("/v1/marks", json=mark)).status_code == 202
    ((_, payload),) = app.state.gateway.door.kept
    assert payload.proof == sha(PDF)


async def test_a_check_keeps_nothing_and_says_whether_it_was_sent_before(client, tmp_path):
    assert (await send(client, PDF, query="?check=true")).json() == {
        "sha256": sha(PDF),
        "checked": True,
        "known": False,
    }
    assert kept(tmp_path) == []
    await send(client, PDF)
    checked = await send(client, PDF, query="?check=true")
    assert (checked.status_code, checked.json()["known"]) == (200, True)


async def test_another_firm_sees_neither_content_nor_that_it_is_there(client, app):
    await send(client, PDF)
    async with client_of(app, OTHER_KEY) as other:
        assert (await other.get(f"/v1/proofs/{sha(PDF)}")).status_code == 404
        assert (await other.get(f"/v1/proofs/{sha(PDF)}?facility={FACILITY}")).status_code == 403
        assert (await other.get("/v1/proofs")).json()["proofs"] == []
        assert (await send(other, PDF, query="?check=true")).json()["known"] is False
        answer = await send(other, PDF)
        assert (answer.status_code, answer.json()["facility"]) == (201, OTHER)


async def test_the_list_says_what_is_kept_and_how_much_room_there_is(client, app):
    for number, content in enumerate((PDF, CSV)):
        app.state.gateway.now_ms = lambda number=number: 1767225661123 + number
        await send(client, content, "application/pdf" if content is PDF else "text/csv")
    listed = (await client.get("/v1/proofs")).json()
    assert [proof["sha256"] for proof in listed["proofs"]] == [sha(CSV), sha(PDF)]
    assert (listed["files"], listed["bytes"], listed["left_out"]) == (2, len(PDF) + len(CSV), 0)
    assert (listed["max_files"], listed["max_bytes"]) == (5000, 2 * 1024**3)
    described = document()
    schema = {"$ref": "#/components/schemas/ProofList", "components": described["components"]}
    jsonschema.Draft202012Validator(schema).validate(listed)


async def test_a_long_list_is_cut_and_says_so(client, monkeypatch):
    monkeypatch.setattr("monitor.gateway.proofs.LISTED", 1)
    for content in (b"a", b"b", b"c"):
        await send(client, content, "text/plain")
    listed = (await client.get("/v1/proofs")).json()
    assert (len(listed["proofs"]), listed["left_out"], listed["files"]) == (1, 2, 3)
    assert LISTED > 1


@pytest.mark.parametrize(
    ("content", "media", "status", "code"),
    [
        (PNG, "application/pdf", 422, "contract"), (PDF, "image/png", 422, "contract"), (JPEG, "image/png", 422, "contract"),
        (b"", "application/pdf", 422, "contract"), (b"<script>", "application/pdf", 422, "contract"), (b"MZ\x00", "text/plain", 422, "contract"),
        (PDF, "text/html", 415, "media_type"), (PDF, "application/octet-stream", 415, "media_type"), (PDF, "", 415, "media_type"),
        (b"a" * (1024 * 1024 + 1), "text/plain", 413, "too_large"),
    ],
)  # fmt: skip
async def test_what_is_not_of_its_type_or_too_large_is_refused_and_nothing_is_kept(
    client, app, tmp_path, content, media, status, code
):
    answer = await send(client, content, media)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert kept(tmp_path) == []
    assert count(app, "refused") == 1


async def test_the_bound_holds_to_the_byte(client):
    assert (await send(client, b"a" * (1024 * 1024), "text/plain")).status_code == 201


async def test_the_bound_holds_for_a_body_of_unknown_length_before_it_ends(client, tmp_path):
    sent = 0

    async def endless():
        nonlocal sent
        while True:
            sent += 65536
            yield b"a" * 65536

    answer = await client.post("/v1/proofs", content=endless(), headers={"Content-Type": "text/plain"})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert sent <= 1024 * 1024 + 3 * 65536
    assert kept(tmp_path) == []


async def test_every_fault_is_told_at_once(client, tmp_path):
    answer = await send(client, PNG, query="?name=&check=maybe&more=1&facility=", content_digest="sha-256=:no:")
    assert answer.status_code == 403, "whose it is comes first"
    answer = await send(client, PNG, query="?name=&check=maybe&more=1", content_digest=f"sha-256=:{'A' * 43}=:")
    assert answer.json()["counts"] == {
        "unknown_member": 1, "wrong_type": 1, "wrong_form": 1, "wrong_content": 1, "wrong_digest": 1,
    }  # fmt: skip
    assert sha(PNG) in answer.json()["errors"][-1]["detail"]
    assert kept(tmp_path) == []


async def test_a_digest_that_fits_is_taken_and_one_that_cannot_be_read_is_not(client):
    good = f"sha-512=:AA==:, sha-256=:{b64encode(hashlib.sha256(PDF).digest()).decode()}:"
    assert (await send(client, PDF, content_digest=good)).status_code == 201
    answer = await send(client, PDF, content_digest="sha-256=abc")
    assert answer.json()["counts"] == {"wrong_form": 1}


async def test_content_is_not_taken_compressed(client):
    assert (await send(client, PDF, content_encoding="gzip")).status_code == 415
    assert (await send(client, PDF, content_encoding="identity")).status_code == 201


async def test_a_key_without_the_right_may_neither_send_nor_fetch(app):
    put(app.state.gateway.access, HASH, endpoints=["readings", "feed"])
    async with client_of(app) as client:
        assert (await send(client, PDF)).status_code == 403
        assert (await client.get("/v1/proofs")).status_code == 403
        assert (await client.get(f"/v1/proofs/{sha(PDF)}")).status_code == 403
    async with client_of(app, "none") as stranger:
        assert (await send(stranger, PDF)).status_code == 401


async def test_a_full_quota_is_told_as_such_and_what_is_kept_is_still_answered(tmp_path):
    app = open_gateway(proofs={"folder": tmp_path, "facility_files": 1})
    async with client_of(app) as client:
        await send(client, PDF)
        refused = await send(client, PNG, "image/png")
        assert (refused.status_code, refused.json()["code"]) == (413, "proof_quota")
        assert (await send(client, PNG, "image/png", "?check=true")).status_code == 413
        assert "1 of 1 files" in refused.json()["detail"]
        assert (await send(client, PDF)).status_code == 200


async def test_a_full_disk_is_told_503_and_closes_the_door_to_no_post(tmp_path):
    app = open_gateway(proofs={"folder": tmp_path, "keep_free_bytes": 1 << 62})
    async with client_of(app) as client:
        answer = await send(client, PDF)
        assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "not_stored", "30")
        assert (await client.post("/v1/readings", json=GOOD)).status_code == 202
    assert app.state.gateway.door.refused == 0, "silence is not excused by a disk that posts do not need"
    assert count(app, "failed") == 1


async def test_a_folder_that_cannot_be_written_is_told_503(tmp_path):
    (tmp_path / "proofs").write_bytes(b"a file")
    app = open_gateway(proofs={"folder": tmp_path / "proofs"})
    async with client_of(app) as client:
        assert (await send(client, PDF)).status_code == 503
        assert (await client.get("/v1/proofs")).json()["proofs"] == []


async def test_a_folder_that_may_not_be_read_is_no_empty_one(client, monkeypatch):
    await send(client, PDF)

    def refused(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("monitor.proofs.shelf.os.scandir", refused)
    monkeypatch.setattr("monitor.proofs.shelf.Path.open", refused)
    assert (await client.get("/v1/proofs")).status_code == 503
    assert (await client.get(f"/v1/proofs/{sha(PDF)}")).status_code == 503
    assert (await send(client, PNG, "image/png")).status_code == 503


async def test_uploads_count_as_posts_and_bytes_of_the_key(tmp_path):
    app = open_gateway(proofs={"folder": tmp_path}, posts_per_minute=2, posts_at_once=1)
    async with client_of(app) as client:
        assert (await send(client, PDF)).status_code == 201
        assert (await client.post("/v1/readings", json=GOOD)).status_code == 202
        assert (await send(client, PDF)).status_code == 429
    app = open_gateway(proofs={"folder": tmp_path}, bytes_per_minute=1024 * 1024)
    async with client_of(app) as client:
        await send(client, b"a" * (2 * 1024 * 1024), "text/plain")
        assert (await client.post("/v1/readings", json=GOOD)).status_code == 429


async def test_one_upload_holds_little_memory(tmp_path):
    app = open_gateway(proofs={"folder": tmp_path})
    size, piece = 12 * 1024 * 1024, b"a" * 65536

    async def body():
        for _ in range(size // len(piece)):
            yield piece

    async with client_of(app) as client:
        await send(client, PDF)
        tracemalloc.start()
        answer = await client.post("/v1/proofs", content=body(), headers={"Content-Type": "text/plain"})
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert (answer.status_code, answer.json()["size"]) == (201, size)
    assert peak < 8 * HELD_BYTES


async def test_a_client_that_hangs_up_leaves_nothing(app, client, tmp_path):
    begun = asyncio.Event()

    async def body():
        yield b"a" * 65536
        begun.set()
        await asyncio.sleep(30)

    sending = asyncio.create_task(client.post("/v1/proofs", content=body(), headers={"Content-Type": "text/plain"}))
    await begun.wait()
    assert list(tmp_path.rglob(".incoming/gw-1/*"))
    sending.cancel()
    await asyncio.wait([sending])
    assert kept(tmp_path) == []
    assert app.state.gateway.hall._room == 128 * 1024 * 1024


async def test_a_slow_upload_is_ended(client, monkeypatch, tmp_path):
    monkeypatch.setattr("monitor.gateway.proofs.GRACE_S", 0.05)

    async def body():
        yield b"a"
        await asyncio.sleep(30)

    answer = await client.post("/v1/proofs", content=body(), headers={"Content-Type": "text/plain"})
    assert answer.status_code == 408
    assert kept(tmp_path) == []


@pytest.mark.parametrize("how", ["hangs up", "too slow", "disk full", "disk broken"])
async def test_what_is_broken_off_costs_its_bytes(tmp_path, monkeypatch, how):
    app = open_gateway(proofs={"folder": tmp_path})
    charged = []
    monkeypatch.setattr(app.state.gateway.bytes, "charge", lambda key, amount: charged.append((key, amount)))
    monkeypatch.setattr("monitor.gateway.proofs.GRACE_S", 1 if how == "too slow" else 30)
    monkeypatch.setattr("monitor.gateway.proofs.LEAST_BYTES_S", 1 << 40)
    begun = asyncio.Event()
    if how.startswith("disk"):
        error = DiskFullError("less") if how == "disk full" else OSError(5, "Input/output error")
        monkeypatch.setattr("monitor.proofs.shelf.Incoming.write", lambda *_: (_ for _ in ()).throw(error))

    async def body():
        for _ in range(4):
            yield b"a" * 65536
        begun.set()
        await asyncio.sleep(30)

    async with client_of(app) as client:
        headers = {"Content-Type": "text/plain"}
        sending = asyncio.create_task(client.post("/v1/proofs", content=body(), headers=headers))
        if how == "hangs up":
            await begun.wait()
            sending.cancel()
        await asyncio.wait([sending])
        if how != "hangs up":
            assert sending.result().status_code == (408 if how == "too slow" else 503)
    assert charged == [(HASH, 4 * 65536)]
    assert kept(tmp_path) == []


async def test_a_disk_that_fills_while_an_upload_comes_is_told_503(tmp_path, monkeypatch):
    app = open_gateway(proofs={"folder": tmp_path, "keep_free_bytes": 0})
    free = iter([1 << 40, 1 << 40, -1])
    monkeypatch.setattr("monitor.proofs.shelf.shutil.disk_usage", lambda _: SimpleNamespace(free=next(free)))
    async with client_of(app) as client:
        answer = await send(client, b"a" * (1024 * 1024), "text/plain")
    assert (answer.status_code, answer.json()["code"]) == (503, "not_stored")
    assert kept(tmp_path) == []


async def test_head_asks_without_the_content(client):
    await send(client, PDF)
    answer = await client.head(f"/v1/proofs/{sha(PDF)}")
    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, b"", str(len(PDF)))
