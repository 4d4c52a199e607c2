"""The commands register, keys, store and outbox, as a user calls them."""

from __future__ import annotations

import json
import stat

import pytest

from monitor.cli import main
from rules.yamlfile import yaml_text
from tests.monitor.register.samples import facility


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("OFFSITE_STORE_URL", f"sqlite:///{tmp_path}/var/offsite.db")
    return tmp_path


def call(capsys, *arguments):
    try:
        main(arguments)
    except SystemExit as end:
        code = end.code or 0
    else:
        code = 0
    out = capsys.readouterr()
    return code, out.out, out.err


def write(home, value, name="register.yaml"):
    path = home / name
    path.write_text(yaml_text(value), encoding="utf-8")
    return str(path)


def test_import_diff_export_go_round(home, capsys):
    file = write(home, {"facilities": [facility()]})
    assert call(capsys, "register", "diff", file)[0] == 1
    code, out, _ = call(capsys, "register", "import", file)
    assert code == 0
    assert "BJ-MFR-0007" in out
    assert "offsite outbox" in out
    assert call(capsys, "register", "diff", file)[0] == 0
    again = home / "again.yaml"
    assert call(capsys, "register", "export", "-o", str(again))[0] == 0
    assert "京北" in again.read_text(encoding="utf-8")
    assert call(capsys, "register", "diff", str(again))[0] == 0
    as_json = json.loads(call(capsys, "register", "export", "--json")[1])
    assert as_json["facilities"][0]["contacts"][0]["name"] == "王芳"


def test_a_file_that_cannot_be_read_and_a_register_without_facilities_are_told_in_plain_words(home, capsys):
    code, _, told = call(capsys, "register", "import", str(home / "missing.yaml"))
    assert (code, told.count("missing.yaml")) == (3, 1)
    assert "unreadable: No such file or directory\n" in told
    (home / "latin.yaml").write_bytes(b"lot\xe9: 1")
    assert "unreadable: not UTF-8: byte 3 is 0xe9\n" in call(capsys, "register", "diff", str(home / "latin.yaml"))[2]
    assert "too_few: facilities: at least 1\n" in call(capsys, "register", "import", write(home, {"facilities": []}))[2]


def test_a_difference_writes_a_number_in_one_way(home, capsys):
    def limited(high):
        sensor = {"tag": "T1", "area": "CR1", "quantity": "temperature", "unit": "Cel", "interval": "60s"}
        areas = [{"id": "CR1", "kind": "cold-room"}]
        return write(home, {"facilities": [facility(areas=areas, sensors=[sensor | {"limits": {"high": high}}])]})

    assert call(capsys, "register", "import", limited(7))[0] == 0
    code, told, _ = call(capsys, "register", "diff", limited(8))
    assert code == 1
    assert "/sensors/T1/limits/high: 7 -> 8\n" in told


def test_a_file_with_faults_changes_nothing_and_names_them_all(home, capsys):
    bad = facility("B2")
    bad["sensors"][0]["interval"] = "soon"
    bad["areas"][0]["kind"] = "cellar"
    bad["jurisdiction"] = "Beijing"
    code, out, err = call(capsys, "register", "import", write(home, {"facilities": [facility("A1"), bad]}))
    assert (code, out) == (3, "")
    assert err.count("register.yaml:") >= 3
    code, out, err = call(capsys, "register", "export", "--json")
    assert (code, out) == (3, "")
    assert "no facility is registered" in err


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_an_export_of_nothing_writes_no_file_that_import_would_refuse(home, capsys, form):
    path = home / "none.yaml"
    code, _, err = call(capsys, "register", "export", "-o", str(path), *form)
    assert (code, path.exists()) == (3, False)
    assert "no facility is registered" in err
    assert "OFFSITE_STORE_URL" in err
    call(capsys, "register", "import", write(home, {"facilities": [facility()]}))
    assert call(capsys, "register", "export", "-o", str(path), *form)[0] == 0
    assert call(capsys, "register", "import", str(path))[0] == 0


def test_keys_are_issued_listed_and_revoked(home, capsys):
    call(capsys, "register", "import", write(home, {"facilities": [facility()]}))
    code, out, _ = call(capsys, "keys", "issue", "--facility", "BJ-MFR-0007", "--days", "30", "--json")
    assert code == 0
    made = json.loads(out)
    listed = json.loads(call(capsys, "keys", "list", "--json")[1])
    assert [(row["id"], row["state"]) for row in listed] == [(made["id"], "live")]
    assert made["key"] not in json.dumps(listed)
    assert call(capsys, "keys", "revoke", made["id"])[0] == 0
    assert "revoked before" in call(capsys, "keys", "revoke", made["id"])[1]
    assert "revoked" in call(capsys, "keys", "list")[1]
    assert call(capsys, "keys", "revoke", "nobody")[0] == 3
    assert call(capsys, "keys", "issue", "--facility", "UNKNOWN")[0] == 3


def test_a_database_password_is_read_from_its_file(home, capsys, monkeypatch):
    secret = home / "password"
    secret.write_text("s3cret\n")
    secret.chmod(stat.S_IRUSR)
    monkeypatch.setenv("OFFSITE_STORE_URL", "postgresql://offsite@127.0.0.1:1/offsite")
    monkeypatch.setenv("OFFSITE_STORE_PASSWORD_FILE", str(secret))
    code, _, err = call(capsys, "keys", "list")
    assert code == 4
    assert "s3cret" not in err
    assert "OFFSITE_STORE_URL" in err


def test_the_store_says_where_it_is(home, capsys):
    assert not (home / "var").exists()
    assert call(capsys, "store", "check")[0] == 1
    assert call(capsys, "store", "upgrade")[0] == 0
    assert call(capsys, "store", "check")[0] == 0


def test_the_outbox_is_sent_once(home, capsys, monkeypatch, kafka_settings):
    monkeypatch.setenv("OFFSITE_KAFKA_BOOTSTRAP", kafka_settings.bootstrap)
    monkeypatch.setenv("OFFSITE_KAFKA_TOPIC_PREFIX", kafka_settings.topic_prefix)
    call(capsys, "register", "import", write(home, {"facilities": [facility()]}))
    assert call(capsys, "outbox", "--once")[:2] == (0, "sent 2, waiting 0\n")
    assert call(capsys, "outbox", "--once")[:2] == (0, "sent 0, waiting 0\n")
    assert home.exists()


@pytest.mark.parametrize(
    ("name", "told"), [("file/x.db", "unwritable: "), ("file", "not_a_store: the file is no database")]
)
def test_a_store_that_cannot_be_is_named_without_a_traceback(home, capsys, monkeypatch, name, told):
    (home / "file").write_text("no database at all, and long enough to have a head", encoding="utf-8")
    monkeypatch.setenv("OFFSITE_STORE_URL", f"sqlite:///{home}/{name}")
    code, _, err = call(capsys, "users", "list")
    assert code == 3
    assert f"OFFSITE_STORE_URL: {told}" in err
    assert (home / "file").read_text(encoding="utf-8").startswith("no database")
