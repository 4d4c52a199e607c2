"""Two firms, one lot: what a maker and a shop post becomes one alarm that names both, by way of the fold of lots; an officer closes it."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import httpx
import pytest

from monitor.accounts import users
from monitor.register.keys import issue
from monitor.register.store import import_register
from monitor.store.schema import upgrade
from monitor.store.session import Store
from rules.canonical import canonical_bytes
from streams.dump import open_log
from streams.topics import ALARMS
from tests.e2e.test_front_to_alarm import environment, running, until
from tests.monitor.desk.html import parse
from tests.monitor.desk.lab import PASSWORD
from tests.monitor.register.samples import facility, register

pytestmark = pytest.mark.kafka
MAKER, SHOP = "BJ-MFR-0007", "BJ-WHL-0001"
WAIT_S = 120
"""A worker compiles first, on a machine that does other things too."""


def now():
    return time.time_ns() // 1_000_000


def published(settings):
    """Return the changes of the lot as Kafka holds them, without their places."""
    with open_log(settings, settings.topic(ALARMS)) as reader:
        rows = [json.loads(row.value) for place in reader.places for row in reader.raw(place)]
    own = sorted((row for row in rows if row["stream"] == "lot:B2601"), key=lambda row: row["seq"])
    for row in own:
        row.pop("source")
    return own


def trace(kind, minutes_ago, **fields):
    at = now() - 60_000 * minutes_ago
    return {"stream": "trace", "type": kind, "time": at, "source": "WMS", "fields": {"lot": "B2601"} | fields}


def test_a_lot_sold_after_its_stop_order_is_one_alarm_of_its_stream_until_an_officer_closes_it(
    kafka_settings, tmp_path
):
    url = f"sqlite:///{tmp_path}/store.db"
    store = Store(url)
    upgrade(store)
    keys = {}
    with store.writing() as session:
        import_register(
            session,
            register(facility(MAKER), facility(SHOP, scopes=[{"field": "distribution", "line": "drug"}])),
            "u",
            now(),
        )
        for firm in (MAKER, SHOP):
            keys[firm] = issue(session, name=firm, facilities=[firm], actor="u", now_ms=now()).key
        first = users.add(session, "li.lei", display="李雷", role="supervisor", language="zh", now_ms=now())
    assert users.change_password(store, "li.lei", first, PASSWORD) == []
    store.close()
    env = environment(
        kafka_settings, OFFSITE_STORE_URL=url, OFFSITE_ARCHIVER_FOLDER=str(tmp_path / "archive"), OFFSITE_DESK_PORT="0",
        OFFSITE_WORKER_PORT="0", OFFSITE_WORKER_TICK_S="1", OFFSITE_WORKER_SESSION_TIMEOUT_S="6", OFFSITE_GATEWAY_PORT="0",
        OFFSITE_GATEWAY_TICK_S="1",
    )  # fmt: skip
    with (
        running("desk", env=env, log=tmp_path / "desk.log") as desk,
        running("gateway", env=env, log=tmp_path / "gateway.log") as gateway,
        running("worker", env=env, log=tmp_path / "worker.log"),
        running("worker", "--lots", "--instance", "lots-1", env=env, log=tmp_path / "lots.log"),
        httpx.Client(base_url="http://" + json.loads(desk.stdout.readline())["listening"], timeout=20) as client,
        httpx.Client(base_url="http://" + json.loads(gateway.stdout.readline())["listening"], timeout=20) as door,
    ):
        signed_in = client.post("/v1/session", json={"name": "li.lei", "password": PASSWORD})
        assert signed_in.status_code == 200

        def post(firm, batch, *events):
            body = {"batch": batch, "events": list(events)}
            headers = {"Authorization": f"Bearer {keys[firm]}"}
            return door.post("/v1/events", json=body, headers=headers)

        def accepted(firm, batch, *events):
            until(lambda: post(firm, batch, *events).status_code == 202, WAIT_S)

        accepted(MAKER, "m1", trace("produced", 90, product="P-1", quantity=100, expiry="2030-12-31"))
        accepted(SHOP, "s1", trace("arrived", 60, quantity=40, **{"from": MAKER, "to": SHOP}))
        accepted(SHOP, "s2", trace("stop-order", 30, basis="order", known_at=now() - 30 * 60_000))
        accepted(SHOP, "s3", trace("sold", 10, quantity=1, **{"from": SHOP, "to": "a patient"}))

        def alarms():
            return client.get("/v1/alarms", params={"rule": "vigilance.moved-after-stop"}).json()["items"]

        until(alarms, WAIT_S)
        (alarm,) = alarms()
        assert (alarm["facility"], alarm["subject"], alarm["severity"]) == (SHOP, {"lot": "B2601"}, "red"), alarm
        page = parse(client.get(f"/alarms/{alarm['alarm']}").text)
        assert "B2601" in page.text
        history = client.get(f"/v1/alarms/{alarm['alarm']}").json()["history"]
        assert [(row["change"], row["seq"]) for row in history] == [("raised", 1)]
        assert history[0]["source"].startswith("lots ")
        assert client.get(f"/v1/alarms/{alarm['alarm']}/chart").json()["series"] == []  # no sensor measures a lot
        decided = client.post(
            f"/v1/alarms/{alarm['alarm']}/decision",
            json={"revision": 1, "code": "breach", "reason": "taken back"},
            headers={"X-CSRF-Token": signed_in.json()["csrf"]},
        )
        assert decided.status_code == 200, decided.text
        until(lambda: client.get(f"/v1/alarms/{alarm['alarm']}").json()["alarm"]["status"] == "cleared", WAIT_S)
        records = client.get(f"/v1/alarms/{alarm['alarm']}").json()["evidence"]["records"]
        assert {"kind": "decision", "id": f"{decided.json()['decision']}/1"} in records
    done = subprocess.run(
        [sys.executable, "-m", "monitor", "log", "dump", "--lots"], env=env, capture_output=True, check=True
    )
    assert sum(json.loads(line)["kind"] == "fact" for line in done.stdout.splitlines()) == 5
    (dump := tmp_path / "log.jsonl").write_bytes(done.stdout)
    told = subprocess.run(
        [sys.executable, "-m", "monitor", "evaluate", "--pack", "default", "--log", str(dump)],
        env=env, capture_output=True, check=True,
    ).stdout  # fmt: skip
    evaluated = [line for line in told.splitlines() if json.loads(line)["stream"] == "lot:B2601"]
    assert evaluated == [canonical_bytes(row) for row in published(kafka_settings)]
    assert [json.loads(line)["change"] for line in evaluated] == ["raised", "cleared"]
