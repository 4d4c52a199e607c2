"""A day of a small province: firms, alarms of every colour and state, an archive with the readings of one of them."""

from __future__ import annotations

import math

import numpy as np

from monitor.alarms import operators
from monitor.alarms.acknowledge import acknowledge
from monitor.register.store import import_register
from rules.changes import Change, ChangeKind, Evidence, Leaf, LimitUsed, RecordRead, Source, Verdict, alarm_id
from rules.models import Bilingual, Severity
from rules.records import Kind, LogRecord, Readings
from tests.monitor.archive.making import Archive, raw
from tests.monitor.desk.lab import NOW
from tests.monitor.register.samples import facility, register

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
PACKS = "sha256:" + "0" * 64
FIRMS = {
    "BJ-MFR-0007": ("京北生物制品有限公司（模拟）", "Jingbei Biologics (simulated)"),
    "BJ-WHS-0112": ("华岳医药物流有限公司（模拟）", "Huayue Pharma Logistics (simulated)"),
    "BJ-HOS-0031": ("永安医院药库（模拟）", "Yong'an Hospital pharmacy (simulated)"),
    "BJ-CEL-0004": ("启元细胞治疗中心（模拟）", "Qiyuan Cell Therapy (simulated)"),
}
COLD = "BJ-MFR-0007"
TEMPERATURE = {"quantity": "temperature", "unit": "Cel", "interval": "60s", "limits": {"low": 2, "high": 8}}
ROWS = (
    # facility, rule, subject, colour, began min ago, zh, en
    ("BJ-CEL-0004", "cell-storage.oxygen-low", {"tag": "LN2.O2"}, "red", 9, "LN2.O2：18.9 %，低于下限 19.5 %", "LN2.O2: 18.9 %, below 19.5 %"),
    ("BJ-MFR-0007", "cleanroom.a-fine", {"tag": "FILL.P05"}, "red", 14, "FILL.P05：3980 /m³，高于上限 3520 /m³", "FILL.P05: 3980 /m³, above 3520 /m³"),
    ("BJ-MFR-0007", "cleanroom.a-fine", {"tag": "FILL.P05B"}, "red", 130, "FILL.P05B：3710 /m³，高于上限 3520 /m³", "FILL.P05B: 3710 /m³, above 3520 /m³"),
    ("BJ-MFR-0007", "cold-chain.store-out", {"tag": "CR1.T1"}, "orange", 42, "CR1.T1：9.6 °C，高于上限 8 °C", "CR1.T1: 9.6 °C, above 8 °C"),
    ("BJ-WHS-0112", "cold-chain.store-out", {"tag": "CR2.T4"}, "orange", 300, "CR2.T4：1.4 °C，低于下限 2 °C", "CR2.T4: 1.4 °C, below 2 °C"),
    ("BJ-HOS-0031", "cold-chain.store-out", {"tag": "REF3.T1"}, "orange", 76, "REF3.T1：8.7 °C，高于上限 8 °C", "REF3.T1: 8.7 °C, above 8 °C"),
    ("BJ-WHS-0112", "cold-chain.store-out", {"tag": "CR1.T2"}, "orange", 310, "CR1.T2：8.3 °C，高于上限 8 °C", "CR1.T2: 8.3 °C, above 8 °C"),
    ("BJ-CEL-0004", "cell-storage.vapour-high", {"tag": "TANK7.T"}, "yellow", 55, "TANK7.T：-144 °C，高于上限 -150 °C", "TANK7.T: -144 °C, above -150 °C"),
    ("BJ-HOS-0031", "data-integrity.frozen", {"tag": "REF1.T1"}, "yellow", 190, "REF1.T1：数值长时间不变（5.2 °C）", "REF1.T1: the value does not move (5.2 °C)"),
    ("BJ-MFR-0007", "data-integrity.physical-range", {"tag": "WFI.COND"}, "yellow", 21, "WFI.COND：-3 µS/cm，低于下限 0 µS/cm", "WFI.COND: -3 µS/cm, below 0 µS/cm"),
    ("BJ-WHS-0112", "cold-chain.interval-storage", {"tag": "CR3.T1"}, "yellow", 33, "CR3.T1：未收到记录", "CR3.T1: no record arrives"),
    ("BJ-HOS-0031", "data-integrity.gap", {"area": "REF2"}, "blue", 47, "REF2：所有测点均未收到记录", "REF2: no record arrives from any sensor"),
    ("BJ-CEL-0004", "data-integrity.gap", {"feed": "main"}, "blue", 12, "全部数据：所有测点均未收到记录", "Whole feed: no record arrives from any sensor"),
    ("BJ-MFR-0007", "data-integrity.gap", {"tag": "CR4.T2"}, "blue", 95, "CR4.T2：未收到记录", "CR4.T2: no record arrives"),
)  # fmt: skip
WHY = Evidence(
    leaves=[Leaf(expr="CR1.T1", left=9.6, op=">", right=8.0, unit="Cel", verdict=Verdict.TRUE)],
    limits=[
        LimitUsed(name="low", value=2.0, unit="Cel", origin="cold-chain.store-out", edition="GSP 2013"),
        LimitUsed(name="high", value=8.0, unit="Cel", origin="cold-chain.store-out", edition="GSP 2013"),
    ],
    records=[RecordRead(kind="readings", id=f"b-{n}") for n in range(812, 818)],
    left_out={"records": 3},
)


class Firm:
    """Makes the changes of one facility's stream, dense from 1."""

    def __init__(self, name):
        self.name, self.seq = name, 0

    def change(self, kind, rule, subject, severity, start, words, **more):
        self.seq += 1
        at = more.pop("at", start + 2 * MINUTE)
        return Change(
            stream=self.name, seq=self.seq, facility=self.name, alarm=alarm_id(rule, self.name, subject, start),
            rule=rule, version="1.0.0", packs=PACKS, subject=subject, change=ChangeKind(kind),
            severity=Severity(severity), stage=more.pop("stage", "live"), start=start, at=at, received=at + 1500,
            message=Bilingual(zh=words[0], en=words[1]), source=Source(partition=3, offset=5_000 + self.seq), **more,
        )  # fmt: skip


def firms(lab):
    """Register the firms, with the sensors of the cold room and a contact on duty."""
    found = [
        facility(
            name,
            areas=[{"id": "CR1", "kind": "cold-room"}],
            sensors=[{"tag": "CR1.T1", "area": "CR1", **TEMPERATURE}],
            contacts=[{"name": "王芳", "role": "QA", "phone": "+86 10 5555 0100", "duty": "08:00-20:00"}],
        )
        | {"name": {"zh": zh, "en": en}}
        for name, (zh, en) in FIRMS.items()
    ]  # fmt: skip
    with lab.store.writing() as session:
        import_register(session, register(*found), "seed", NOW - DAY)


def day(lab, now=NOW):
    """Apply the day's alarms; returns the ids by tag, area or feed. `lab.streams` makes what comes next."""
    firms(lab)
    streams = lab.streams = {name: Firm(name) for name in FIRMS}
    changes, ids = [], {}
    for name, rule, subject, severity, minutes, zh, en in ROWS:
        evidence = WHY if subject == {"tag": "CR1.T1"} else Evidence()
        raised = streams[name].change(
            "raised", rule, subject, severity, now - minutes * MINUTE, (zh, en), evidence=evidence
        )
        ids[next(iter(subject.values()))] = raised.alarm
        changes.append(raised)
    hospital, cells = streams["BJ-HOS-0031"], streams["BJ-CEL-0004"]
    area = ids["REF2"]
    for tag in ("REF2.T1", "REF2.T2", "REF2.RH"):
        words = (f"{tag}：未收到记录", f"{tag}: no record arrives")
        start = now - 48 * MINUTE
        first = hospital.change("raised", "data-integrity.gap", {"tag": tag}, "blue", start, words)
        changes += [
            first,
            hospital.change("suppressed", "data-integrity.gap", {"tag": tag}, "blue", start, words, by=area),
        ]
    words = ("REF2.T9：未收到记录", "REF2.T9: no record arrives")
    silent = ("data-integrity.gap", {"tag": "REF2.T9"}, "blue", now - 48 * MINUTE)
    changes += [
        hospital.change("raised", *silent, words),
        hospital.change("suppressed", *silent, words, by=area),
        hospital.change("cleared", *silent, words, at=now - 8 * MINUTE, end=now - 8 * MINUTE),
    ]
    words = ("TANK2.T：缺少有效数据，状态未知", "TANK2.T: no good data: the condition is unknown")
    start = now - 5 * HOUR
    changes += [
        cells.change("raised", "cell-storage.vapour-high", {"tag": "TANK2.T"}, "yellow", start, words),
        cells.change("unknown", "cell-storage.vapour-high", {"tag": "TANK2.T"}, "yellow", start, words, at=start + HOUR),
        cells.change("raised", "data-integrity.frozen", {"tag": "TANK3.T"}, "yellow", start, words, stage="shadow"),
    ]  # fmt: skip
    ids["TANK2.T"], ids["TANK3.T"] = changes[-3].alarm, changes[-1].alarm
    words = ("CR1.T2：8.4 °C，高于上限 8 °C", "CR1.T2: 8.4 °C, above 8 °C")
    start = now - 9 * HOUR
    ends = start + 25 * MINUTE
    firm = streams[COLD]
    changes += [
        firm.change("raised", "cold-chain.store-out", {"tag": "CR1.T2"}, "orange", start, words),
        firm.change("cleared", "cold-chain.store-out", {"tag": "CR1.T2"}, "orange", start, words, at=ends, end=ends),
    ]  # fmt: skip
    ids["back"] = changes[-1].alarm
    lab.apply(*changes)
    with lab.store.writing() as session:
        for tag in ("FILL.P05B", "CR1.T2", "CR4.T2"):
            row = ids[tag]
            acknowledge(
                session, row, revision=_revision(session, row), actor="han.mei", now_ms=now - MINUTE, note="已电话联系"
            )
        operators.opened(
            session, "stream-gap", "BJ-WHS-0112", "change 41 is missing, 44 came: this facility's alarms stand still here",
            now - 20 * MINUTE,
        )  # fmt: skip
        operators.opened(session, "foreign-change", "3:8812", "/severity: enum: no colour", now - 3 * HOUR)
    return ids


def _revision(session, alarm):
    from monitor.alarms.queries import one

    return one(session, alarm).revision


def readings(lab, folder, tag="CR1.T1", now=NOW):
    """Write an archive with two hours of a cold room that warms: some readings bad, some late. Returns the archive."""
    archive = Archive(lab.store, folder)
    archive.begin(1)
    archive.write(0, [raw(record) for record in _records(tag, now)])
    return archive


def _records(tag, now):
    start = now - now % MINUTE - 130 * MINUTE
    late, offset = [], 0
    for first in range(0, 130, 5):
        rows = []
        for minute in range(first, first + 5):
            at = start + minute * MINUTE
            value = 5 + 0.25 * math.sin(minute / 5) + max(0, minute - 68) * 0.1425
            row = (at, round(value, 1), 6 if 60 <= minute < 63 else 0)
            (late if 95 <= minute < 98 else rows).append(row)
        yield _record(offset, start + (first + 5) * MINUTE, tag, rows)
        offset += 1
    yield _record(offset, now, tag, late)


def _record(offset, received, tag, rows):
    value = Readings(
        batch=f"b-{offset}", tags=(tag,), counts=np.array([len(rows)], np.int32),
        time=np.array([row[0] for row in rows], np.int64), value=np.array([row[1] for row in rows], np.float64),
        quality=np.array([row[2] for row in rows], np.uint8),
    )  # fmt: skip
    return LogRecord(0, offset, received, Kind.READINGS, COLD, value)
