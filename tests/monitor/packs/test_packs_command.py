"""`offsite packs` as a person calls it, on a real Kafka and a store."""

from __future__ import annotations

import io
import json
import re

import pytest

from monitor.cli import main
from monitor.packs import journal
from monitor.packs.comparing import counted
from monitor.settings import open_store
from monitor.store.tables import PacksBundle, PacksPublication
from rules.pack import default_bundle, load_bundle
from rules.records import SEMANTICS, PacksRecord
from streams.dump import open_log
from streams.topics import LOG
from tests.monitor.packs.files import STRICTER, pack
from tests.rules.bundles import changed
from tests.streams.packing import append, checkpoint, tick


class Terminal(io.StringIO):
    """A keyboard at which somebody types."""

    def isatty(self):
        return True


@pytest.fixture
def office(kafka_settings, tmp_path, monkeypatch):
    for name, value in {
        "OFFSITE_KAFKA_BOOTSTRAP": kafka_settings.bootstrap,
        "OFFSITE_KAFKA_PARTITIONS": str(kafka_settings.partitions),
        "OFFSITE_KAFKA_TOPIC_PREFIX": kafka_settings.topic_prefix,
        "OFFSITE_STORE_URL": f"sqlite:///{tmp_path}/store.db",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    return kafka_settings


def call(capsys, *arguments):
    try:
        main(["packs", *map(str, arguments)])
    except SystemExit as end:
        code = end.code or 0
    else:
        code = 0
    out = capsys.readouterr()
    return code, out.out, out.err


def records(settings):
    with open_log(settings, settings.topic(LOG)) as log:
        return [record for record in log.records() if isinstance(record.payload, PacksRecord)]


def publications():
    with open_store() as store, store.reading() as session:
        return [(row.sha256, row.actor, row.done_ms) for row in session.query(PacksPublication)]


def worked(settings, bundle=None):
    """Leave what workers leave: a checkpoint of every partition."""
    for partition in range(settings.partitions):
        checkpoint(settings, partition, bundle or default_bundle(), tick(settings, partition) + 1)


def test_publish_says_what_changes_appends_it_everywhere_and_show_says_who_and_since_when(office, tmp_path, capsys):
    worked(office)
    folder = pack(tmp_path / "stricter", *STRICTER)
    sha256 = load_bundle([folder]).sha256
    code, out, err = call(capsys, "publish", folder, "--yes", "--actor", "li.lei")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith(f"these files: sha256 {sha256}, ")
    assert lines[1] == f"partitions 0-2: in force is sha256 {default_bundle().sha256}"
    assert lines[2] == "  changed rule cold-chain.store-out 1.0.0 -> 1.1.0: 冷库温度超限 / Cold room outside its limits"
    assert lines[3] == "    /limits/from/high: 8.0 -> 7.0"
    stand = records(office)
    assert [(r.partition, r.payload.sha256) for r in stand] == [(0, sha256), (1, sha256), (2, sha256)]
    told = [re.fullmatch(r"(\d+):(\d+) (\S+Z)", line) for line in lines[-4:-1]]
    assert [(int(m[1]), int(m[2])) for m in told] == [(r.partition, r.offset) for r in stand]
    assert lines[-1].startswith(f"published by li.lei: sha256 {sha256}, ")
    code, out, _ = call(capsys, "show")
    assert code == 0
    assert f"sha256 {sha256}: {counted(default_bundle())}, partitions 0-2\n" in out
    assert out.count("published by li.lei") == 3
    assert f"partition 1: {sha256[:12]} since {told[1][3]} (offset {told[1][2]}), published by li.lei" in out
    ((found, actor, done),) = publications()
    assert (found, actor) == (sha256, "li.lei")
    assert done is not None
    with open_store() as store, store.reading() as session:
        assert PacksRecord.model_validate_json(session.get_one(PacksBundle, sha256).data) == stand[0].payload


def test_what_is_in_force_already_is_not_published_again(office, tmp_path, capsys):
    worked(office)
    assert call(capsys, "publish", "default", "--yes")[:2] == (
        0, f"sha256 {default_bundle().sha256} is in force in every partition; nothing was appended\n"
    )  # fmt: skip
    folder = pack(tmp_path / "stricter", *STRICTER)
    assert call(capsys, "publish", folder, "--yes")[0] == 0
    code, out, _ = call(capsys, "publish", folder, "--yes", "--json")
    assert (code, json.loads(out)["published"]) == (0, False)
    assert len(records(office)) == 3
    assert len(publications()) == 1


def test_every_fault_at_once_and_nothing_is_written(office, tmp_path, capsys):
    folder = pack(
        tmp_path / "bad", ("consecutive: 2", "consecutive: 0"), ("unknown: {max: 15m}", "unknown: {max: soon}"),
        ("status: cited", "status: sure"), ("zh: 冷库温度超限", "zh: cold room"),
    )  # fmt: skip
    (folder / "cold-chain" / "other.yaml").write_text("schema: rule/1\nid: [\n", encoding="utf-8")
    for command in (("publish", folder, "--yes"), ("diff", folder)):
        code, out, err = call(capsys, *command)
        assert (code, out) == (3, "")
        places = re.findall(r"cold-chain/\S+\.yaml:(\d+):\d+: (\w+)", err)
        assert len(places) >= 4
        assert "other.yaml:" in err
        assert {"text", "out_of_range"} <= {code for _, code in places}
    assert records(office) == []
    assert publications() == []


def test_a_failing_test_refuses(office, tmp_path, capsys):
    folder = pack(tmp_path / "untested", STRICTER[0], STRICTER[1])
    code, out, err = call(capsys, "publish", folder, "--yes")
    assert (code, out) == (1, "")
    assert re.search(r"4 of \d+ tests fail", err)
    assert "cold-chain.store-out: 8.0 and 2.0 are inside" in err
    assert "which was not expected" in err
    assert records(office) == []


def test_without_a_terminal_it_says_what_to_do(office, tmp_path, capsys):
    folder = pack(tmp_path / "stricter", *STRICTER)
    code, _, err = call(capsys, "publish", folder)
    assert code == 2
    assert "offsite packs diff" in err
    assert "--yes" in err
    assert records(office) == []


@pytest.mark.parametrize(("typed", "code", "count"), [("y\n", 0, 3), ("n\n", 1, 0), ("", 1, 0)])
def test_at_a_terminal_it_asks(office, tmp_path, capsys, monkeypatch, typed, code, count):
    monkeypatch.setattr("sys.stdin", Terminal(typed))
    folder = pack(tmp_path / "stricter", *STRICTER)
    found, out, err = call(capsys, "publish", folder)
    assert found == code
    assert "/limits/from/high: 8.0 -> 7.0" in out
    assert "Publish to 3 partitions?" in err
    assert len(records(office)) == count
    assert len(publications()) == count // 3


def test_diff_shows_the_same_and_appends_nothing(office, tmp_path, capsys):
    worked(office, changed())
    folder = pack(tmp_path / "stricter", *STRICTER)
    (folder / "cold-chain" / "interval-storage.yaml").unlink()
    code, out, _ = call(capsys, "diff", folder, "--json")
    value = json.loads(out)
    assert code == 1
    assert value["partitions"] == [
        {"partitions": [0, 1, 2], "in_force": changed().sha256, "changes": value["partitions"][0]["changes"]}
    ]
    (gone,) = value["partitions"][0]["changes"]
    assert (gone["id"], gone["change"], gone["title"]["zh"]) == (
        "cold-chain.interval-storage", "removed", default_bundle().rule("cold-chain.interval-storage").title.zh,
    )  # fmt: skip
    assert records(office) == []
    assert call(capsys, "diff", pack(tmp_path / "same", *STRICTER))[0] == 0


@pytest.mark.usefixtures("office")
def test_a_change_under_the_same_version_is_pointed_at(tmp_path, capsys):
    code, out, _ = call(capsys, "diff", pack(tmp_path / "stricter", *STRICTER[1:]))
    assert code == 1
    assert "never folded" in out
    assert "raise it, alarms name it" in out


def test_partitions_that_differ_are_told_apart_and_mended(office, capsys):
    worked(office)
    append(office, 1, changed(high=6.0).to_record())
    code, out, err = call(capsys, "show")
    assert code == 1
    assert "do not have the same packs" in err
    assert f"{changed(high=6.0).sha256}: {counted(default_bundle())}, partitions 1\n" in out
    assert "partitions 0, 2\n" in out
    assert "since it was first folded" in out
    assert "who published it is not known" in out
    code, out, _ = call(capsys, "publish", "default", "--yes")
    assert code == 0
    assert "/limits/from/high: 6.0 -> 8.0" in out
    assert "no difference" in out  # in the two others
    assert call(capsys, "show")[0] == 0


def test_show_reads_the_log_where_the_store_knows_nothing(office, tmp_path, capsys, monkeypatch):
    worked(office)
    folder = pack(tmp_path / "stricter", *STRICTER)
    call(capsys, "publish", folder, "--yes", "--actor", "li.lei")
    stand = records(office)
    worked(office, load_bundle([folder]))  # checkpoints behind the records
    monkeypatch.setenv("OFFSITE_STORE_URL", f"sqlite:///{tmp_path}/other.db")
    rows = json.loads(call(capsys, "show", "--json")[1])
    assert [(row["partition"], row["offset"], row["actor"]) for row in rows] == [
        (r.partition, r.offset, None) for r in stand
    ]
    monkeypatch.setenv("OFFSITE_STORE_URL", f"sqlite:///{tmp_path}")  # a folder is no database
    code, out, err = call(capsys, "show", "--json")
    assert (code, json.loads(out)) == (0, rows)
    assert "who published is not known" in err


def test_who_began_is_known_although_nobody_noted_the_end(office, capsys):
    worked(office)
    record = changed().to_record()
    with open_store() as store, store.writing() as session:
        journal.begin(session, record, "li.lei", 1)  # and its process died behind the commit
    for partition in range(3):
        append(office, partition, record)
    code, out, _ = call(capsys, "show")
    assert code == 0
    assert out.count("published by li.lei") == 3


def test_another_engines_partition_is_named_and_takes_nothing(office, tmp_path, capsys):
    for partition in range(3):
        checkpoint(office, partition, default_bundle(), 0, semantics=SEMANTICS + 1)
    assert f"folded with engine semantics {SEMANTICS + 1}" in call(capsys, "show")[1]
    code, _, err = call(capsys, "publish", pack(tmp_path / "stricter", *STRICTER), "--yes")
    assert code == 4
    assert "Nothing was appended" in err
    assert records(office) == []


@pytest.mark.usefixtures("office")
@pytest.mark.parametrize("name", ["li\x1b[2J", "   ", "\u200b", "x" * 129])
def test_names_with_control_characters_or_nothing_to_be_seen_are_no_actors(capsys, name):
    code, _, err = call(capsys, "publish", "default", "--yes", "--actor", name)
    assert code == 2
    assert "printable" in err
