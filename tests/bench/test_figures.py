"""What the benches say of processes, folders and runs; and that a soak which grew does not pass."""

import json
import os
import threading

import pytest

from bench import figures, soak


def test_a_process_is_measured():
    pid = os.getpid()
    before = figures.cpu_s(pid)
    while figures.cpu_s(pid) == before:
        sum(range(100_000))
    assert figures.resident_mb(pid) > 10
    assert figures.status(pid, "VmHWM") >= figures.status(pid, "VmRSS")
    assert figures.status(pid, "Threads") >= threading.active_count()


def test_an_open_file_is_counted(tmp_path):
    before = figures.open_files(os.getpid())
    with (tmp_path / "one").open("w"):
        assert figures.open_files(os.getpid()) == before + 1


def test_sizes_are_of_files_and_of_what_lies_in_folders(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "deep").write_bytes(b"x" * 100)
    (tmp_path / "a" / "near").write_bytes(b"x" * 20)
    (tmp_path / "alone").write_bytes(b"x" * 3)
    assert figures.size_of(tmp_path / "a") == 120
    assert figures.size_of(tmp_path / "a", tmp_path / "alone", tmp_path / "gone") == 123


def test_runs_are_told_by_median_least_and_most():
    runs = [{"s": 3.0}, {"s": 1.0}, {"s": 10.0}]
    assert figures.spreads(runs) == {"s": {"median": 3.0, "least": 1.0, "most": 10.0, "n": 3}}


@pytest.mark.parametrize(
    ("values", "expected"), [([0.0, 2.0, 4.0], 2.0), ([5.0, 5.0, 5.0], 0.0), ([4.0, 2.0, 0.0], -2.0)]
)
def test_slope(values, expected):
    assert figures.slope([10.0, 11.0, 12.0], values) == pytest.approx(expected)


def test_one_instant_has_no_slope():
    assert figures.slope([1.0], [5.0]) == 0.0


def test_the_result_is_json_with_the_machine(capsys):
    figures.emit("toy", {"figure": 1})
    told = json.loads(capsys.readouterr().out)
    assert (told["bench"], told["figure"], told["cores"]) == ("toy", 1, os.cpu_count())
    assert len(told["load_at_end"]) == 3


def series(values):
    return soak.Series([10.0 * i for i in range(len(values))], [float(value) for value in values])


def test_growth_is_from_the_first_quarter_to_the_last():
    told = soak.growth("open_files", "desk", series([10, 12, 100, 100, 100, 100, 20, 22]))
    assert (told["first_quarter"], told["last_quarter"], told["growth"], told["most"]) == (11, 21, 10, 100)
    assert told["within"]


def test_the_slope_is_an_hour_s():
    assert soak.growth("threads", "desk", series(range(8)))["slope_an_hour"] == pytest.approx(360)


@pytest.mark.parametrize(
    ("figure", "owner", "first", "allowed"),
    [
        ("resident_mb", "desk", 100, 32),
        ("resident_mb", "desk", 1_000, 150),
        ("resident_mb", "kafka", 800, 300),
        ("open_files", "desk", 500, 16),
        ("crumb_bytes", "worker", 128, 0),
        ("state_bytes", "kafka", 100e6, 100e6),
    ],
)
def test_the_bound_is_a_share_or_so_much(figure, owner, first, allowed):
    assert soak.allowed(figure, owner, first) == pytest.approx(allowed)


def test_just_above_the_bound_is_not_within():
    assert soak.growth("threads", "desk", series([10] * 4 + [14] * 4))["within"]
    assert not soak.growth("threads", "desk", series([10] * 4 + [15] * 4))["within"]


def test_what_keeps_is_told_and_not_judged():
    assert "within" not in soak.growth("store_bytes", "store", series(range(8)))


def passing():
    return {
        "figures": {"threads": {"desk": soak.growth("threads", "desk", series([10] * 8))}},
        "watch_died": None, "samples": 8, "same_processes": True,
        "end": {"posts_failed": 0, "receipts_equal_log": True, "changes_equal_evaluate": True},
    }  # fmt: skip


def test_a_soak_that_did_not_grow_passes():
    assert soak.faults(passing()) == []


def test_each_fault_is_told():
    found = passing()
    found["figures"]["threads"]["desk"] = soak.growth("threads", "desk", series([10] * 4 + [20] * 4))
    found |= {"watch_died": "OSError: gone", "samples": 2, "same_processes": False}
    found["end"] = {"posts_failed": 3, "receipts_equal_log": False, "changes_equal_evaluate": False}
    assert soak.faults(found) == [
        "threads of desk grew by 10.0, 4.0 is allowed",
        "2 samples: OSError: gone",
        "a process was started again",
        "3 posts failed",
        "not so: receipts_equal_log",
        "not so: changes_equal_evaluate",
    ]


def test_receipts_are_compared_with_the_readings_of_a_dump(tmp_path):
    lines = [
        {"partition": 0, "offset": 3, "kind": "readings", "facility": "F1", "data": {"batch": "b1"}},
        {"partition": 0, "offset": 4, "kind": "tick", "facility": "", "data": {}},
        {"partition": 1, "offset": 3, "kind": "readings", "facility": "F2", "data": {"batch": "b1"}},
    ]
    (tmp_path / "log").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert soak.held(tmp_path / "log") == {(0, 3): ("F1", "b1"), (1, 3): ("F2", "b1")}


def test_a_soak_holds_every_evaluated_change_against_the_desk() -> None:
    first, second = b'{"seq":1,"stream":"F-1"}', b'{"seq":2,"stream":"F-1"}'
    desk = {("F-1", 1): first, ("F-1", 2): second, ("F-1", 3): b"later"}
    assert soak.differing(desk, [first, second]) == []
    assert len(soak.differing({("F-1", 1): b"other"}, [first, second])) == 2
