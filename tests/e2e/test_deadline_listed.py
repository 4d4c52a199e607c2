"""A report in the log becomes a row of the desk's list by way of a worker's snapshot, and vanishes once it is answered; a sample is a figure."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import httpx
import pytest
from kafka import KafkaProducer

from monitor.accounts import assignments, users
from monitor.register.store import import_register
from monitor.store.schema import upgrade
from monitor.store.session import Store
from rules.records import Report
from streams.codec import encode
from streams.topics import LOG
from tests.e2e.test_front_to_alarm import environment, running, until
from tests.monitor.desk.html import parse
from tests.monitor.desk.lab import PASSWORD
from tests.monitor.register.samples import facility, register

pytestmark = pytest.mark.kafka
FIRM = "BJ-MFR-0007"
HOUR, DAY = 3_600_000, 86_400_000
WAIT_S = 120
"""A worker compiles first, on a machine that does other things too."""


def now():
    return time.time_ns() // 1_000_000


def report(settings, kind, name, fields):
    """Append a report as the front door will."""
    payload = Report.model_validate({"type": kind, "id": name, "revision": 1, "sent": now(), "fields": fields})
    headers, value = encode(payload)
    producer = KafkaProducer(**settings.for_kafka_python(), acks="all")
    producer.send(settings.topic(LOG), key=FIRM.encode(), value=value, headers=headers).get(timeout=20)
    producer.close()


def death(settings, case, known):
    report(
        settings, "adr-case", f"R-{case}",
        {"case_id": case, "known_at": known, "onset": "2026-01-01", "seriousness": "death", "is_new": False, "product": "P-1",
         "outcome": "died", "source_channel": "hospital"},
    )  # fmt: skip


def test_from_a_report_to_the_list_and_off_it(kafka_settings, tmp_path):
    url = f"sqlite:///{tmp_path}/store.db"
    store = Store(url)
    upgrade(store)
    with store.writing() as session:
        import_register(session, register(facility(FIRM)), "u", now())
        first = users.add(session, "li.lei", display="李雷", role="supervisor", language="zh", now_ms=now())
        assignments.assign(session, "li.lei", [FIRM], "op", now())
    assert users.change_password(store, "li.lei", first, PASSWORD) == []
    store.close()
    env = environment(
        kafka_settings, OFFSITE_STORE_URL=url, OFFSITE_ARCHIVER_FOLDER=str(tmp_path / "archive"), OFFSITE_DESK_PORT="0",
        OFFSITE_WORKER_PORT="0", OFFSITE_WORKER_CHECKPOINT_S="1", OFFSITE_WORKER_SNAPSHOT_S="1", OFFSITE_WORKER_TICK_S="1",
        OFFSITE_WORKER_SESSION_TIMEOUT_S="6",
    )  # fmt: skip
    with (
        running("desk", env=env, log=tmp_path / "desk.log") as desk,
        running("worker", env=env, log=tmp_path / "worker.log"),
        httpx.Client(base_url="http://" + json.loads(desk.stdout.readline())["listening"], timeout=20) as client,
    ):
        assert client.post("/v1/session", json={"name": "li.lei", "password": PASSWORD}).status_code == 200

        def listed(**wanted):
            return client.get("/v1/deadlines", params=wanted).json()

        until(lambda: listed()["as_of"], WAIT_S)  # the register went by the outbox, and a worker has made a checkpoint
        known = now() - 40 * DAY
        death(kafka_settings, "C-LATE", known)
        death(kafka_settings, "C-DUE", now() - HOUR)
        found = until(lambda: (page := listed())["total"] == 2 and page, WAIT_S)
        assert [(row["subject"]["report"], row["state"], row["inspectors"]) for row in found["items"]] == [
            ("C-LATE", "late", ["li.lei"]), ("C-DUE", "due", ["li.lei"]),
        ]  # fmt: skip
        # The alarm of the late one is raised in the same record, and the page leads to it.
        alarm = found["items"][0]["alarm"]
        until(lambda: client.get(f"/v1/alarms/{alarm}").status_code == 200, WAIT_S)
        page = parse(client.get("/deadlines", params={"inspector": "li.lei"}).text)
        assert [a["href"] for a in page.one("table", class_="due").all("a") if "/alarms/" in a["href"]] == [
            f"/alarms/{alarm}"
        ]

        # The same out of checkpoint and log, without desk and worker.
        shown = subprocess.run(
            [sys.executable, "-m", "monitor", "deadlines", "--facility", FIRM, "--json"], env=env, capture_output=True, check=True,
        )  # fmt: skip
        moving = {"left", "left_ms", "facility_name", "inspectors"}
        mine = [
            {key: value for key, value in row.items() if key not in moving}
            for row in json.loads(shown.stdout)["deadlines"]
        ]
        assert mine == [{key: value for key, value in row.items() if key not in moving} for row in found["items"]]

        report(
            kafka_settings, "adr-death-investigation", "R-9",
            {"case_id": "C-LATE", "known_at": known, "conclusion": "no link", "lots": []},
        )  # fmt: skip
        until(lambda: [row["subject"]["report"] for row in listed()["items"]] == ["C-DUE"], WAIT_S)
        until(lambda: client.get(f"/v1/alarms/{alarm}").json()["alarm"]["status"] == "cleared", WAIT_S)

        # What the same snapshots say for figures over all facilities.
        report(
            kafka_settings, "sampling-result", "R-10",
            {"sample_id": "S-1", "facility_sampled": "A-SHOP", "product": "P-1", "lot": "L-1", "drawn_at": now() - HOUR,
             "tests": [{"name": "assay", "verdict": "fail"}], "verdict": "fail"},
        )  # fmt: skip

        def years():
            found = client.get("/v1/figures", params={"period": "year"}).json()
            return found["facilities"] == 1 and [
                (one["samples"], one["passed"], one["missed"]) for one in found["sampling"][:1]
            ]

        assert until(years, WAIT_S) == [(1, 0, True)]
        assert client.get("/figures").status_code == 200
        added = subprocess.run(
            [sys.executable, "-m", "monitor", "figures", "--json"], env=env, capture_output=True, check=False
        )
        assert added.returncode == 0, added.stderr.decode()
        (year, *_) = [one for one in json.loads(added.stdout)["sampling"] if one["kind"] == "year"]
        assert (year["samples"], year["passed"], year["unretested"]) == (1, 0, 1)
