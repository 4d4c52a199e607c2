"""Check the demo from outside: the story as the console tells it, and the log replayed by another process."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from monitor.alarms.operators import open_alarms
from monitor.simulate.expectation import compare
from monitor.store.desk_tables import AlarmRow, ChangeRow
from rules.changes import Change

if TYPE_CHECKING:
    from monitor.demo.officer import Officer
    from monitor.demo.stage import Stage
    from monitor.simulate.script import Script

CATCH_UP_S = 30.0
EXCURSION = "cold-chain.store-out"
GAP = "data-integrity.gap"
Finding = tuple[str, list[str]]
"""What was looked at, and what is wrong; empty if it holds."""


def story(stage: Stage, script: Script, began: int, until: int) -> Finding:
    """Compare the desk's changes with what the script promises, up to an instant (ms)."""
    with stage.store.reading() as session:
        changes = [Change.model_validate_json(body) for body in session.scalars(select(ChangeRow.body))]
    found = compare(script, changes, began=began, until=until)
    wrong = [f"missing: {text}" for text in found.missing] + [f"unexpected: {text}" for text in found.unexpected]
    return "the story: every alarm as scripted, and no other", wrong


def acknowledged(officer: Officer) -> Finding:
    """The excursion was raised, acknowledged and cleared, in this order, as the API tells it."""
    wrong = []
    rows = officer.alarms(rule=EXCURSION, status="any", suppressed="any")
    if not rows:
        wrong.append("no excursion on the desk")
    for row in rows[:1]:
        detail = officer.detail(row["alarm"])
        kinds = [change["change"] for change in detail["history"]]
        done = [action["action"] for action in detail["actions"]]
        if kinds[:1] != ["raised"] or "cleared" not in kinds:
            wrong.append(f"its history is {kinds}")
        if done != ["acknowledge"]:
            wrong.append(f"people did {done}")
        elif not row["raised"] <= detail["actions"][0]["at"] <= row["changed"]:
            wrong.append("it was not acknowledged between raise and clear")
        if row["state"] != "normal":
            wrong.append(f"its state is {row['state']}")
    return "the excursion: raised, acknowledged, cleared", wrong


def chart(officer: Officer) -> Finding:
    """The excursion's chart holds readings beyond the limit, inside the alarm's span, and no hole."""
    wrong = []
    for row in officer.alarms(rule=EXCURSION, status="any", suppressed="any")[:1]:
        drawn = officer.chart(row["alarm"])
        series = drawn["series"][0] if drawn["series"] else {"time": [], "value": [], "lines": []}
        high = max((line["value"] for line in series["lines"] if line["name"] == "high"), default=None)
        end = drawn["end_ms"] or drawn["to_ms"]
        inside = [v for t, v in zip(series["time"], series["value"], strict=True) if drawn["start_ms"] <= t < end]
        if high is None:
            wrong.append("no upper limit is drawn")
        elif not any(value is not None and value > high for value in inside):
            wrong.append("no reading beyond the limit is drawn")
        if drawn["missing"]:
            wrong.append(f"parts of the archive could not be read: {drawn['missing']}")
    return "the chart: readings around the excursion, from the archive", wrong


def pages(officer: Officer) -> Finding:
    """The pages hold what a reader without JavaScript needs."""
    wrong = []
    queue = officer.page("/?status=any&suppressed=any")
    if "<table" not in queue or EXCURSION not in "".join(r["rule"] for r in officer.alarms(status="any")):
        wrong.append("the queue shows no table of alarms")
    for row in officer.alarms(rule=EXCURSION, status="any")[:1]:
        page = officer.page(f"/alarms/{row['alarm']}")
        if '<table class="readings">' not in page:
            wrong.append("the alarm's page has no table of readings")
    return "the pages: queue and alarm, without JavaScript", wrong


def replay(stage: Stage) -> Finding:
    """Dump the log, fold it in another process, and compare with what the desk holds, change by change."""
    dump = stage.folder / "replay.jsonl"
    _offsite(stage, "log", "dump", "--output", str(dump))
    offline = {}
    for line in _offsite(stage, "evaluate", "--pack", "default", "--log", str(dump)).splitlines():
        value = json.loads(line)
        offline[value["stream"], value["seq"]] = line
    live = _live(stage, set(offline))
    newest = {stream: max(seq for s, seq in offline if s == stream) for stream, _ in offline}
    wrong = [f"{key}: not on the desk" for key in offline if key not in live]
    wrong += [f"{key}: differs" for key, line in offline.items() if key in live and live[key] != line]
    wrong += [f"{key}: not in the replay" for key in live if key not in offline and key[1] <= newest.get(key[0], 0)]
    return f"the replay: {len(offline)} changes, byte by byte", wrong or (
        [] if offline else ["the log gives no change"]
    )


def archive(stage: Stage) -> Finding:
    """Every file of the archive is whole, and the archive gives the log's records again."""
    done = _run(stage, "archive", "verify")
    wrong = [] if done.returncode == 0 else (done.stdout + done.stderr).strip().splitlines()
    return "the archive: every file whole, no hole between them", wrong


def health(stage: Stage) -> Finding:
    """No process fell or had to be started again, and operators have no alarm."""
    fallen = stage.fallen()
    wrong = [] if fallen is None else [fallen]
    wrong += [f"{name} was started again {count} times" for name, count in stage.manager.restarts().items()]
    with stage.store.reading() as session:
        wrong += [f"{row.code} {row.subject}: {row.detail}" for row in open_alarms(session)]
        stuck = session.scalars(select(AlarmRow.id).where(AlarmRow.revision == 0)).all()
    return "the processes: all up, no operators' alarm", wrong + [f"alarm {name} without a change" for name in stuck]


def _live(stage: Stage, wanted: set[tuple[str, int]]) -> dict[tuple[str, int], str]:
    """Return the desk's changes, once it has all that the replay has (or the time for that is over)."""
    deadline = time.monotonic() + CATCH_UP_S
    while True:
        with stage.store.reading() as session:
            rows = session.execute(select(ChangeRow.stream, ChangeRow.seq, ChangeRow.body)).all()
        live = {(stream, seq): body for stream, seq, body in rows}
        if wanted <= set(live) or time.monotonic() > deadline:
            return live
        time.sleep(0.2)


def _offsite(stage: Stage, *arguments: str) -> str:
    done = _run(stage, *arguments)
    if done.returncode != 0:
        raise RuntimeError(f"offsite {' '.join(arguments)}: {done.stderr.strip()[:2000]}")
    return done.stdout


def _run(stage: Stage, *arguments: str) -> subprocess.CompletedProcess[str]:
    command: list[Any] = [sys.executable, "-m", "monitor", *arguments]
    return subprocess.run(command, env=stage.env, capture_output=True, text=True, check=False)  # noqa: S603 - our own
