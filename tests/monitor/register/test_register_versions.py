"""Stored versions: asked for by the command and at the desk, and how two of them differ."""

from __future__ import annotations

import json

import pytest

from monitor.cli import main
from monitor.register.store import import_register, version_of, versions
from rules.errors import BadInputError
from rules.instants import format_instant, parse_instant
from tests.monitor.desk.lab import DeskLab
from tests.monitor.register.samples import facility, register

NAME = "BJ-MFR-0007"
SINCE = "2026-03-01T00:00:00+08:00"


def version(high=None, **more):
    value = facility(**more)
    if high is not None:
        value["sensors"].append(value["sensors"][0] | {"limits": {"low": 2, "high": high}, "from": SINCE})
    return value


@pytest.fixture
def filled(sqlite_store):
    with sqlite_store.writing() as session:
        import_register(session, register(facility()), "u-1", 1_000)
        import_register(session, register(version(8)), "u-2", 2_000)
        import_register(session, register(version(9, labels=["vaccine"]), facility("SH-WHS-0001")), "u-3", 3_000)
    return sqlite_store


@pytest.fixture
def call(filled, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("OFFSITE_STORE_URL", f"sqlite:///{tmp_path}/store.db")
    assert filled

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            main(["register", *map(str, arguments)])
        out, err = capsys.readouterr()
        return end.value.code or 0, out, err

    return run


def test_versions_are_found_by_number_newest_first(filled):
    with filled.reading() as session:
        assert [row.version for row in versions(session, NAME)] == [3, 2, 1]
        assert version_of(session, NAME, None).version == 3
        assert version_of(session, NAME, 2).actor == "u-2"
        with pytest.raises(BadInputError) as refused:
            version_of(session, NAME, 4)
        assert "versions 1 to 3 are stored" in refused.value.faults[0].detail
        with pytest.raises(BadInputError) as refused:
            version_of(session, "BJ-NONE-1", None)
        assert "not registered" in refused.value.faults[0].detail


def test_two_versions_are_compared_the_newest_with_the_one_before(call):
    code, out, _ = call("diff", "--facility", NAME)
    assert code == 1
    assert out.splitlines() == [
        f"{NAME:32} changed (version 2)",
        '  + /labels/vaccine: none -> "vaccine"',
        "  ~ /sensors/CR1.T1/2026-02-28T16:00:00.000Z/limits/high (from 2026-02-28T16:00:00.000Z): 8 -> 9",
    ]  # fmt: skip


def test_any_two_versions_are_compared(call):
    code, out, _ = call("diff", "--facility", NAME, "--old", 1, "--new", 3, "--json")
    (told,) = json.loads(out)
    assert (code, told["kind"], told["version"]) == (1, "changed", 1)
    assert [(fact["change"], fact["path"], fact["from"]) for fact in told["facts"]] == [
        ("added", "/labels/vaccine", None),
        ("added", "/sensors/CR1.T1/2026-02-28T16:00:00.000Z", "2026-02-28T16:00:00.000Z"),
    ]
    assert [change["pointer"] for change in told["changes"]] == ["/labels", "/sensors"]
    code, out, _ = call("diff", "--facility", NAME, "--old", 2, "--new", 2)
    assert (code, "same" in out) == (0, True)
    code, out, _ = call("diff", "--facility", NAME, "--old", 3, "--new", 1, "--json")
    assert {fact["change"] for fact in json.loads(out)[0]["facts"]} == {"removed"}


def test_the_first_version_is_all_new(call):
    code, out, _ = call("diff", "--facility", NAME, "--new", 1, "--json")
    (told,) = json.loads(out)
    assert (code, told["kind"]) == (1, "new")
    assert {"/id", "/name", "/sensors/CR1.T1", "/areas/CR1"} <= {fact["path"] for fact in told["facts"]}


def test_a_file_is_held_against_what_is_in_force(call, tmp_path):
    path = tmp_path / "register.json"
    path.write_text(json.dumps({"facilities": [version(9, labels=[]), facility("SH-WHS-0001")]}), encoding="utf-8")
    code, out, _ = call("diff", path)
    assert code == 1
    assert f'{NAME:32} changed (version 3)\n  - /labels/vaccine: "vaccine" -> none\n' in out
    assert call("diff", path, "--facility", "SH-WHS-0001")[0] == 0
    assert call("diff", path, "--facility", "BJ-NONE-1")[0] == 3


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((), 2),
        (("--facility", NAME, "--old", "0"), 2),
        (("--facility", NAME, "--new", "9"), 3),
        (("--facility", "BJ-NONE-1"), 3),
    ],
)
def test_what_cannot_be_compared_is_told(call, arguments, code):
    found, out, err = call("diff", *arguments)
    assert (found, out) == (code, "")
    assert err


def test_a_file_has_no_versions(call, tmp_path):
    assert call("diff", tmp_path / "x.yaml", "--old", "1")[0] == 2


def test_an_import_names_who_decided_it_or_changes_nothing(call, tmp_path):
    file = tmp_path / "register.yaml"
    assert call("export", "--output", file)[0] == 0
    for name in ("   ", "\u200b", "li\x1b[2J", "x" * 129):
        code, _, err = call("import", file, "--actor", name)
        assert (code, "printable" in err) == (2, True)
    assert len(call("history", NAME)[1].splitlines()) == 3


def test_the_history_names_who_and_when(call):
    code, out, _ = call("history", NAME)
    lines = out.splitlines()
    assert (code, len(lines)) == (0, 3)
    assert lines[0].split()[:4] == ["3", format_instant(3_000), "2", "u-3"]
    told = json.loads(call("history", NAME, "--json")[1])
    assert [(one["version"], one["actor"]) for one in told] == [(3, "u-3"), (2, "u-2"), (1, "u-1")]
    assert call("history", "BJ-NONE-1")[0] == 3


class TestDesk:
    @pytest.fixture
    def client(self, filled, tmp_path):
        with DeskLab(filled, tmp_path / "archive").signed_in(role="reader") as client:
            yield client

    def test_any_version_and_the_facts_of_an_instant(self, client):
        newest = client.get("/v1/register", params={"facility": NAME}).json()
        assert (newest["version"]["version"], newest["version"]["actor"]) == (3, "u-3")
        assert (len(newest["facility"]["sensors"]), "at" in newest) == (2, False)
        assert "contacts" not in newest["facility"]
        second = client.get("/v1/register", params={"facility": NAME, "version": 2}).json()
        assert second["facility"]["sensors"][1]["limits"]["high"] == 8
        for at, high in ((SINCE, 9.0), ("2026-02-28T23:59:59+08:00", None)):
            told = client.get("/v1/register", params={"facility": NAME, "at": at}).json()
            (sensor,) = told["facility"]["sensors"]
            assert sensor.get("limits", {}).get("high") == high
            assert told["at"] == format_instant(parse_instant(at))

    def test_the_versions_and_how_two_differ(self, client, monkeypatch):
        told = client.get("/v1/register/versions", params={"facility": NAME}).json()
        assert [one["version"] for one in told["versions"]] == [3, 2, 1]
        monkeypatch.setattr("monitor.api.register.LISTED", 1)
        assert client.get("/v1/register/versions", params={"facility": NAME}).json()["left_out"] == 2
        found = client.get("/v1/register/diff", params={"facility": NAME}).json()
        assert (found["old"], found["new"]) == (2, 3)
        assert [one["path"] for one in found["changes"]] == [
            "/labels/vaccine", "/sensors/CR1.T1/2026-02-28T16:00:00.000Z/limits/high",
        ]  # fmt: skip
        assert found["changes"][1]["from"] == "2026-02-28T16:00:00.000Z"
        assert client.get("/v1/register/diff", params={"facility": NAME, "new": 1}).json()["old"] == 0

    @pytest.mark.parametrize(
        ("path", "status"),
        [
            ("/v1/register?facility=BJ-NONE-1", 404), (f"/v1/register?facility={NAME}&version=4", 404),
            (f"/v1/register/diff?facility={NAME}&old=9", 404), ("/v1/register/versions?facility=BJ-NONE-1", 404),
            ("/v1/register", 422), (f"/v1/register?facility={NAME}&version=0", 422), (f"/v1/register?facility={NAME}&at=soon", 422),
        ],
    )  # fmt: skip
    def test_what_is_not_there_is_told(self, client, path, status):
        assert client.get(path).status_code == status

    def test_nobody_sees_it_without_a_session(self, filled, tmp_path):
        with DeskLab(filled, tmp_path / "archive").client() as client:
            for path in ("register", "register/versions", "register/diff"):
                assert client.get(f"/v1/{path}?facility={NAME}").status_code == 401
