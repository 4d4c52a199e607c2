"""One silence that several rules see: who speaks, asked anew of everything that stands once the clock leaves an instant."""

from __future__ import annotations

import itertools


def settle(silences, now):
    """Tell which alarms fall silent under another rule's, and which speak again."""
    standing = []
    for group in silences.groups:
        members = silences.members(group.rule, group.where)
        if group.live and members:
            level = 1 if group.where else 0
            standing.append(Standing(group, group.rule, group.record, (group.order, level, group.where), members))
    for m in silences.tags:
        if m.open is not None:
            standing.append(Standing(m, m.rule, m.open, (m.place, 2, m.tag), [m]))
    for quiet in silences.owner.quiets:
        for said in quiet.said:
            if said.end is None and not said.retracted:
                standing.append(Standing(quiet, quiet.rule, said, (quiet.place, 2, quiet.tag), [quiet]))
    own = [one for one in standing if not one.under_its_own(silences)]
    by = dict.fromkeys(own)
    # An alarm falls silent under one that speaks; of several under the one that comes first.
    for one in sorted(own, key=Standing.rank):
        over = [other for other in own if by[other] is None and other.outdoes(one)]
        if over:
            by[one] = min(over, key=Standing.rank)
    turns = [one for one in own if not one.is_by(by[one])]
    for falls in (False, True):
        for one in sorted(turns, key=lambda one: one.order):
            if (by[one] is not None) is falls:
                before, one.record["by"] = one.record["by"], by[one]
                one.tell(silences, "suppressed" if falls else "released", now, one.record["by"] or before)


class Standing:
    """A silence that stands."""

    def __init__(self, of, rule, record, order, members):
        self.of, self.rule, self.record, self.order = of, rule, record, order
        self.series = {m.tag for m in members}
        self.subject = of.subject if order[1] < 2 else {"tag": of.tag}

    def under_its_own(self, silences):
        return silences.is_under(self.rule, self.record["by"])

    def is_by(self, other):
        by = self.record["by"]
        return by is other if by is None or other is None else by.record is other.record

    def rank(self):
        plain = self.rule.during is None
        return -self.record["colour"], -len(self.series), self.order[1], plain, self.record["start"], self.order

    def outdoes(self, one):
        same = self.rule.overlap is not None and self.rule.overlap == one.rule.overlap
        live = self.rule.stage == one.rule.stage and (one.rule.during is None or self.rule.during is not None)
        return same and live and self.rule.id != one.rule.id and one.series <= self.series and self.rank() < one.rank()

    def tell(self, silences, kind, now, by):
        if hasattr(self.of, "where"):
            silences.say_group(self.of, kind, now, now, by=by)
        else:
            silences.say(self.rule, self.subject, self.record, kind, now, now, by)


def pairs_of(rules):
    """Return which rules see the same silences, by name: what a test has to reach."""
    return {(a.id, b.id) for a, b in itertools.combinations(rules, 2) if a.overlap and a.overlap == b.overlap}
