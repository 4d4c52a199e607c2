"""`offsite users` as an operator types it."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from monitor.accounts import sessions, users
from monitor.commands.users import app
from monitor.store.session import Store
from rules.errors import BadInputError

pytestmark = pytest.mark.usefixtures("cheap_hashes")
NOW = 1_790_000_000_000
RUNNER = CliRunner()


@pytest.fixture
def run(monkeypatch, tmp_path, sqlite_store):
    monkeypatch.setenv("OFFSITE_STORE_URL", f"sqlite:///{tmp_path}/store.db")

    def command(*words):
        done = RUNNER.invoke(app, words, catch_exceptions=True)
        if isinstance(done.exception, BadInputError):
            raise done.exception
        assert done.exit_code == 0, done.output
        return done.stdout

    command.store = sqlite_store
    return command


def test_an_account_is_added_with_a_password_shown_once(run):
    shown = run("add", "li.lei", "--display", "李雷", "--role", "lead", "--language", "en")
    password = shown.strip().rpartition(" ")[2]
    _, person = sessions.sign_in(run.store, "li.lei", password, NOW)
    assert (person.display, person.role, person.language, person.must_change) == ("李雷", "lead", "en", True)
    assert password not in run("list", "--json")


def test_json_for_scripts_and_defaults(run):
    made = json.loads(run("add", "li.lei", "--json"))
    assert set(made) == {"name", "password"}
    assert json.loads(run("list", "--json")) == [
        {
            "name": "li.lei",
            "display": "li.lei",
            "role": "supervisor",
            "language": "zh",
            "state": "one-time password",
            "facilities": [],
        }
    ]


def test_the_list_tells_the_states_apart(run):
    for name in ("a.new", "b.settled", "c.gone"):
        password = json.loads(run("add", name, "--json"))["password"]
        if name == "b.settled":
            assert users.change_password(run.store, name, password, "correct horse battery") == []
    run("disable", "c.gone")
    assert [row["state"] for row in json.loads(run("list", "--json"))] == ["one-time password", "active", "disabled"]
    lines = run("list").splitlines()
    assert [line.split()[0] for line in lines] == ["a.new", "b.settled", "c.gone"]


def test_reset_and_disable_end_sessions_of_a_running_desk(run):
    password = json.loads(run("add", "li.lei", "--json"))["password"]
    for act in ("reset", "disable"):
        token, _ = sessions.sign_in(run.store, "li.lei", password, NOW)
        out = run(act, "li.lei")
        with Store(str(run.store.engine.url)) as other, other.reading() as session:
            assert sessions.find(session, token, NOW) is None
        password = out.strip().rpartition(" ")[2]
    assert sessions.sign_in(run.store, "li.lei", password, NOW) is None
    again = json.loads(run("reset", "li.lei", "--json"))["password"]
    assert sessions.sign_in(run.store, "li.lei", again, NOW) is not None


@pytest.mark.parametrize(
    "words", [("add", "Li Lei"), ("reset", "nobody"), ("disable", "nobody"), ("add", "li", "--role", "x")]
)
def test_what_cannot_be_is_said_with_what_to_do(run, words):
    with pytest.raises(BadInputError) as caught:
        run(*words)
    assert "/" in caught.value.report()
