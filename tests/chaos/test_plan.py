"""The plan and the firms are functions of the seed, and hold everything that a long run promises."""

from __future__ import annotations

from collections import Counter

import pytest

from rules.posts import read_readings
from rules.register import FacilityEntry
from tests.chaos.firms import firms_of
from tests.chaos.plan import POISONS, PROCESSES, Form, acts_of, short

BEGAN = 1_772_323_200_000


@pytest.mark.parametrize("form", [Form(1, 100), Form(2, 100), short(1, 7), short(2, 7)])
def test_the_same_seed_gives_the_same_acts(form):
    assert acts_of(form) == acts_of(form)
    assert acts_of(form) != acts_of(type(form)(form.seed + 10, form.kills))


@pytest.mark.parametrize("seed", range(20))
def test_a_long_run_kills_as_often_as_asked_and_does_everything(seed):
    acts = acts_of(Form(seed, 100))
    kills = Counter(act.what for act in acts if act.kind == "kill")
    assert kills.total() == 100
    assert min(kills[name] for name in PROCESSES) >= 2
    assert {act.kind for act in acts} == {
        "kill", "pause", "group", "grow", "shrink", "register", "large", "outage", "disk", "poison",
    }  # fmt: skip
    assert sorted(",".join(act.what for act in acts if act.kind == "poison").split(",")) == sorted(POISONS)
    assert [act.size for act in acts if act.kind == "outage"] == [60.0]


@pytest.mark.parametrize("seed", range(20))
def test_a_worker_is_added_before_it_is_removed(seed):
    for form in (Form(seed, 100), short(seed, 7)):
        kinds = [act.kind for act in acts_of(form) if act.kind in {"grow", "shrink"}]
        assert kinds == ["grow", "shrink"] * (len(kinds) // 2)


@pytest.mark.parametrize("seed", range(5))
def test_a_short_run_kills_every_process_and_stays_short(seed):
    acts = acts_of(short(seed, 6))
    assert {act.what for act in acts if act.kind == "kill"} == set(PROCESSES)
    assert sum(act.pause_s for act in acts) < 20
    kinds = {act.kind for act in acts}
    assert kinds >= {"kill", "grow", "shrink", "register", "large", "outage", "poison"}
    assert len(kinds & {"pause", "group"}) == 1


def test_the_same_seed_gives_the_same_posts():
    one, two = firms_of(6, 3, BEGAN), firms_of(6, 3, BEGAN)
    assert [[firm.next() for _ in range(40)] for firm in one] == [[firm.next() for _ in range(40)] for firm in two]
    assert one[0].large() == two[0].large()
    assert firms_of(1, 3, BEGAN)[0].next() != firms_of(1, 4, BEGAN)[0].next()


def test_every_post_keeps_the_contract_and_firms_are_registered_rightly():
    import json

    for firm in firms_of(6, 5, BEGAN):
        FacilityEntry.model_validate(firm.entry())
        assert firm.entry(2)["sensors"] != firm.entry(1)["sensors"]
        for post in [*(firm.next() for _ in range(60)), firm.large()]:
            assert read_readings(json.dumps(post.body).encode()).batch == post.body["batch"]


def test_the_readings_hold_what_makes_a_fold_hard():
    """Late rows, back-fill, bad quality, standing values, repeats on purpose, unregistered tags."""
    posts = [post for firm in firms_of(6, 1, BEGAN) for post in (firm.next() for _ in range(400))]
    batches = [post.body["batch"] for post in posts]
    assert len(batches) == len(set(batches))
    assert any(name.endswith(".fill") for name in batches)
    assert any(post.again for post in posts)
    assert any(post.later for post in posts)
    series = [one for post in posts for one in post.body["series"]]
    assert any("quality" in one and None in one["value"] for one in series)
    assert any(one["time"] != sorted(one["time"]) for one in series)
    assert any(one["tag"] == "NEW.TAG" for one in series)
    assert max(post.due_s for post in posts) > 100
