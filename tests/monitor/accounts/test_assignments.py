"""Who is responsible for which facility: a list of pairs that operators keep, checked whole before anything is written."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from monitor.accounts import assignments, users
from monitor.commands.users import app
from monitor.register.store import import_register
from monitor.store.desk_tables import AssignmentRow
from rules.errors import BadInputError
from tests.monitor.register.samples import facility, register

pytestmark = pytest.mark.usefixtures("cheap_hashes")
NOW = 1_790_000_000_000
FIRMS = ["BJ-A-1", "BJ-B-2", "BJ-C-3"]


def people(store):
    with store.writing() as session:
        import_register(session, register(*(facility(name) for name in FIRMS)), "u", NOW)
        for name, role in (("li.lei", "supervisor"), ("han.mei", "lead"), ("jim", "reader"), ("op", "operator")):
            users.add(session, name, display=name.title(), role=role, language="zh", now_ms=NOW)
    return store


@pytest.fixture
def office(store):
    return people(store)


def assign(store, name, *facilities):
    with store.writing() as session:
        return assignments.assign(session, name, facilities, "op", NOW)


def of_all(store):
    with store.reading() as session:
        found = assignments.of_facilities(session, set(FIRMS))
    return {name: [user for user, _ in pairs] for name, pairs in found.items()}


def test_several_answer_for_one_facility_and_one_for_several(office):
    assert assign(office, "li.lei", "BJ-A-1", "BJ-B-2", "BJ-A-1") == 2
    assert assign(office, "han.mei", "BJ-B-2") == 1
    assert assign(office, "li.lei", "BJ-A-1", "BJ-C-3") == 1  # the first was known
    assert of_all(office) == {"BJ-A-1": ["li.lei"], "BJ-B-2": ["han.mei", "li.lei"], "BJ-C-3": ["li.lei"]}
    with office.reading() as session:
        assert assignments.everybody(session) == [("han.mei", "Han.Mei"), ("li.lei", "Li.Lei")]
        assert assignments.of_accounts(session) == {"han.mei": ["BJ-B-2"], "li.lei": FIRMS}
        row = session.scalars(select(AssignmentRow).limit(1)).one()
        assert (row.actor, row.at_ms) == ("op", NOW)


def test_an_account_answers_no_more_for_what_is_taken_from_it(office):
    assign(office, "li.lei", *FIRMS)
    with office.writing() as session:
        assert assignments.unassign(session, "li.lei", ["BJ-A-1", "BJ-C-3", "BJ-NONE-1"]) == 2
        assert assignments.unassign(session, "li.lei", []) == 0
    assert of_all(office) == {"BJ-B-2": ["li.lei"]}


def test_every_fault_is_told_and_nothing_is_written(office):
    with office.writing() as session:
        users.disable(session, "han.mei", NOW)
    for name, facilities, faults in (
        ("li.lei", ["BJ-A-1", "BJ-X-9", "no id"], ["/facilities/1", "/facilities/2"]),
        ("jim", ["BJ-X-9"], ["/facilities/0", "/name"]),
        ("op", ["BJ-A-1"], ["/name"]),
        ("han.mei", ["BJ-A-1"], ["/name"]),
        ("nobody", ["BJ-A-1"], ["/name"]),
    ):
        with pytest.raises(BadInputError) as refused:
            assign(office, name, *facilities)
        assert sorted(fault.pointer for fault in refused.value.faults) == faults
    with pytest.raises(BadInputError), office.writing() as session:
        assignments.unassign(session, "nobody", ["BJ-A-1"])
    assert of_all(office) == {}


def test_who_is_disabled_answers_for_nothing_and_does_again_when_let_in(office):
    assign(office, "li.lei", "BJ-A-1")
    with office.writing() as session:
        users.disable(session, "li.lei", NOW)
    assert of_all(office) == {}
    with office.reading() as session:
        assert assignments.everybody(session) == []
        assert session.scalars(assignments.responsible()).all() == []
        assert session.scalars(assignments.responsible("li.lei")).all() == ["BJ-A-1"]
    with office.writing() as session:
        users.reset(session, "li.lei")
    assert of_all(office) == {"BJ-A-1": ["li.lei"]}


def test_more_than_a_statement_takes(office, monkeypatch):
    monkeypatch.setattr(assignments, "AT_ONCE", 2)
    assert assign(office, "li.lei", *FIRMS) == 3
    assert list(of_all(office)) == FIRMS
    with office.writing() as session:
        assert assignments.unassign(session, "li.lei", FIRMS) == 3


def test_as_an_operator_types_it(sqlite_store, tmp_path, monkeypatch):
    people(sqlite_store)
    monkeypatch.setenv("OFFSITE_STORE_URL", f"sqlite:///{tmp_path}/store.db")

    def run(*words):
        done = CliRunner().invoke(app, words)
        return done.exit_code, done.stdout

    assert run("assign", "li.lei", "BJ-A-1", "BJ-B-2") == (0, "li.lei answers for 2 facilities more\n")
    assert run("unassign", "li.lei", "BJ-A-1") == (0, "li.lei answers for 1 facilities less\n")
    rows = {row["name"]: row["facilities"] for row in json.loads(run("list", "--json")[1])}
    assert (rows["li.lei"], rows["jim"]) == (["BJ-B-2"], [])
    assert "Li.Lei (1 facilities)" in run("list")[1]
    assert run("assign", "li.lei")[0] == 2
