"""The register of the demo holds all that rules need: else `register.incomplete` would stand there, which no story tells."""

from __future__ import annotations

import pytest

from monitor.register.files import read_register
from monitor.simulate.run import REGISTER
from rules.pack import default_bundle
from rules.plan import compile_plan
from rules.rare.incomplete import missing
from rules.rare.store import Rare
from rules.rule import RegisterCheckRule

FIRMS = [entry.logged() for entry in read_register(REGISTER).facilities]


@pytest.mark.parametrize("firm", FIRMS, ids=lambda firm: firm.id)
def test_no_rule_lacks_a_fact_of_a_firm_of_the_demo(firm):
    bundle = default_bundle()
    rule = bundle.rule("register.incomplete")
    assert isinstance(rule, RegisterCheckRule)
    assert missing(rule, compile_plan(firm, bundle, 1_772_294_400_000), bundle, Rare()) == []
