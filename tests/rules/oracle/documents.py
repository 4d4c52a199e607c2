"""Rules over what reports say, in plain words: nothing is kept ready, nothing goes out, everything is judged anew at every record.

Conditions are reckoned by `tests.rules.oracle.conditions`, balances in decimals. A facility's log of registers, packs, ticks and reports; the
bundle holds only such rules.
"""

from __future__ import annotations

import json
from decimal import Decimal, localcontext

from rules.changes import alarm_id
from rules.pack import Bundle
from rules.predicate import in_scope
from rules.records import PacksRecord, RegisterRecord, Report
from rules.reports.reading import fields_of
from rules.rule import BalanceRule
from tests.rules.oracle import conditions

WATCHING = {"live", "shadow"}


class Facility:
    """One facility: its reports with all their revisions, and the alarms of each rule by subject."""

    def __init__(self, name, bundle):
        self.name, self.bundle, self.entity, self.version, self.clock = name, bundle, None, -1, -1
        self.numbers = {}  # (type, id) -> {revision: all that it says}
        self.reports = {}  # (type, id) -> {revision: fields}
        self.alarms = {}  # (rule, subject) -> alarm
        self.uses = {}  # (rule, subject) -> {start: how often}
        self.changes = []

    def rules(self, bundle=None):
        bundle = bundle or self.bundle
        return [] if self.entity is None else [
            rule for rule in bundle.rules if rule.stage in WATCHING and in_scope(rule, self.entity)
        ]  # fmt: skip

    def say(self, rule, subject, kind, received):
        alarm = self.alarms[rule.id, subject]
        self.changes.append(
            {
                "seq": len(self.changes) + 1, "rule": rule.id, "subject": json.loads(subject), "change": kind,
                "alarm": alarm["id"], "severity": rule.severity.base.value, "start": alarm["start"], "end": alarm["end"],
                "at": received, "received": received, "late": False, "by": None,
            }
        )  # fmt: skip

    # -- records ----------------------------------------------------------------------------------------------------
    def fold(self, record):
        self.clock = received = max(self.clock, record.received)
        payload = record.payload
        if isinstance(payload, RegisterRecord) and payload.version > self.version:
            before, self.version = self.rules(), payload.version
            self.entity, old = payload.facility, self.entity
            if old is not None:
                self.leave(before, self.rules(), set(), received)
            self.adopt(received)
        elif isinstance(payload, PacksRecord):
            bundle = Bundle.from_record(payload)
            if bundle.sha256 != self.bundle.sha256:
                self.change(bundle, received)
        elif isinstance(payload, Report) and self.rules():
            self.report(payload, received)

    def change(self, bundle, received):
        before, after = self.rules(), self.rules(bundle)
        were = {rule.id: decides(rule) for rule in self.bundle.rules}
        closed = {
            rule.id for rule in bundle.rules
            if rule.migration == "close" and rule.id in were and were[rule.id] != decides(rule)
        }  # fmt: skip
        if self.entity is not None:
            self.leave(before, after, closed, received)
        self.bundle = bundle
        self.adopt(received)

    def leave(self, before, after, closed, received):
        stay = {rule.id for rule in after} - closed
        for rule in before:
            if rule.id in stay:
                continue
            for name, subject in sorted(self.alarms):
                if name == rule.id and self.alarms[name, subject]["stands"]:
                    self.alarms[name, subject]["end"] = received
                    self.say(rule, subject, "cleared", received)
            self.alarms = {key: alarm for key, alarm in self.alarms.items() if key[0] != rule.id}

    def adopt(self, received):
        read = {name for rule in self.rules() for name in rule.reports}
        self.reports = {key: versions for key, versions in self.reports.items() if key[0] in read}
        self.judge(None, received)

    def report(self, payload, received):
        key, said = (payload.type, payload.id), payload.model_dump(mode="json")
        model = fields_of(payload)
        if model is None or all(payload.type not in rule.reports for rule in self.rules()):
            return
        known = self.numbers.setdefault(key, {})
        if payload.revision in known or (payload.revision > 1 and not (payload.reason or "").strip()):
            return
        known[payload.revision] = said
        versions = self.reports.setdefault(key, {})
        corrected = bool(versions) and payload.revision > max(versions)
        versions[payload.revision] = json.loads(
            json.dumps(model.model_dump(by_alias=True, exclude_none=True)), parse_int=float
        )
        self.judge(key if corrected else None, received, payload.type)

    # -- what holds -------------------------------------------------------------------------------------------------
    def judge(self, corrected, received, kind=None):
        for rule in self.rules():
            if kind is not None and kind not in rule.reports:
                continue
            said = {}
            for subject, cause, verdict, others in self.verdicts(rule):
                said.setdefault(subject, {})[cause] = (verdict, others)
            names = {*said, *(subject for name, subject in self.alarms if name == rule.id)}
            for subject in sorted(names):
                self.settle(rule, subject, said.get(subject, {}), corrected, received)

    def settle(self, rule, subject, said, corrected, received):
        alarm = self.alarms.get((rule.id, subject))
        stands = alarm is not None and alarm["stands"]
        held = alarm["causes"] if stands else {}
        which = names(rule)
        found = {which(cause): (cause, verdict) for cause, (verdict, _) in said.items()}
        causes = {cause: True for cause, verdict in found.values() if verdict is True}
        for before in held:
            cause, verdict = found.get(which(before), (before, False))
            if verdict is None:
                causes[cause] = False
        whose = {cause: said[cause][1] for cause in causes}
        if not stands:
            if causes:
                uses = self.uses.setdefault((rule.id, subject), {})
                uses[received] = uses.get(received, 0) + 1
                name = alarm_id(rule.id, self.name, json.loads(subject), received, uses[received])
                self.alarms[rule.id, subject] = {
                    "id": name, "start": received, "end": None, "stands": True, "causes": causes, "unknown": False, "by": whose,
                }  # fmt: skip
                self.say(rule, subject, "raised", received)
            return
        was, alarm["causes"] = alarm["unknown"], causes
        were, alarm["by"] = alarm["by"], whose
        alarm["unknown"] = bool(causes) and not any(causes.values())
        if not causes:
            alarm["stands"], alarm["end"] = False, received
            self.say(rule, subject, "cleared", received)
        elif alarm["unknown"] or was:
            if alarm["unknown"] != was:
                self.say(rule, subject, "unknown" if alarm["unknown"] else "known", received)
        elif corrected is not None:
            named = {reports[0] for reports in whose.values()} != {reports[0] for reports in were.values()}
            if named or held != causes or any(corrected in reports for reports in whose.values()):
                self.say(rule, subject, "amended", received)

    def verdicts(self, rule):
        """Yield subject, cause, verdict, and the reports that were looked at with the judged one in front."""
        docs = [Document(key, versions) for key, versions in self.reports.items() if key[0] in rule.reports]
        if rule.each is None:
            for doc in docs:
                verdict, others = self.ask(rule, doc, docs, None, None)
                yield subject_of("report", doc.key[1]), doc.cause, verdict, [doc.key, *others]
            return
        if rule.each.subject == "report":
            for doc in docs:
                answers = [self.ask(rule, doc, docs, key, entry) for key, entry in doc.entries(rule.each)]
                verdict = joined([answer for answer, _ in answers])
                others = [key for answer, keys in answers if answer or not verdict for key in keys]
                yield subject_of("report", doc.key[1]), doc.cause, verdict, [doc.key, *others]
            return
        for doc in docs:
            for name in sorted({key for key, _ in doc.entries(rule.each)}):
                later = [other for other in docs if other.follows(doc) and name in dict(other.entries(rule.each))]
                if rule.judged == "newest" and later:
                    continue
                mine = [entry for key, entry in doc.entries(rule.each) if key == name]
                answers = [self.ask(rule, doc, docs, name, entry) for entry in mine]
                verdict = joined([answer for answer, _ in answers])
                others = [key for answer, keys in answers if answer or not verdict for key in keys]
                yield subject_of(rule.each.subject, name), doc.cause, verdict, [doc.key, *others]

    def ask(self, rule, doc, docs, name, entry):
        """Return what a rule says of a report, or of an entry of it, and which other reports it looked at."""
        if isinstance(rule, BalanceRule):
            return balance(rule, doc.newest if entry is None else entry), []
        before = [other for other in docs if doc.follows(other) and other.order < doc.order]
        previous = max(before, key=lambda other: other.place, default=None)
        known, others = {"report": doc.newest}, []
        if doc.earlier is not None:
            known["earlier"] = doc.earlier
        if previous is not None:
            known["previous"] = previous.newest
        if previous is not None and "previous" in rule.condition:
            others.append(previous.key)
        if entry is not None:
            known["entry"] = entry
        if rule.each is not None and rule.each.before is not None:
            having = [other for other in before if name in dict(other.entries(rule.each))]
            partner = max(having, key=lambda other: other.place, default=None)
            of = doc.earlier if rule.each.before == "earlier" else None if partner is None else partner.newest
            found = [] if of is None else [one for one in of[rule.each.of] if one[rule.each.key] == name]
            if len(found) == 1:
                known["before"] = found[0]
            if partner is not None and rule.each.before == "previous":
                others.append(partner.key)
        return asked(rule, known), others


class Document:
    """One report by its newest revision."""

    def __init__(self, key, versions):
        numbers = sorted(versions)
        self.key, self.newest = key, versions[numbers[-1]]
        self.earlier = versions[numbers[-2]] if len(numbers) > 1 else None
        kind, fields = key[0], self.newest
        self.series, self.order = key, 0
        if kind in {"recall-progress", "recall-final"}:
            self.series, self.order = ("recall", fields["recall_id"]), fields["seq"]
        elif kind == "annual-report":
            self.series, self.order = ("annual-report",), fields["year"]
        elif kind == "quality-review":
            self.series, self.order = ("review", fields["product"], len(fields["period"])), fields["period"]
        self.place = (self.order, key[1], key[0])
        self.cause = (self.series, key)

    def follows(self, other):
        return self.series == other.series and self.place > other.place

    def entries(self, each):
        return [(entry[each.key], entry) for entry in self.newest[each.of]]


def subject_of(name, value):
    return json.dumps({name: value}, ensure_ascii=False)


def joined(answers):
    return True if True in answers else None if None in answers else False


def names(rule):
    """Return what tells one cause from another: the report, or the series where only its newest report speaks."""
    newest = rule.judged == "newest" and rule.each is not None and rule.each.subject != "report"
    return lambda cause: cause[0] if newest else cause[1]


def decides(rule):
    return rule.model_copy(update={"version": "1.0.0", "migration": None, "title": None, "tests": []}).model_dump()


def balance(rule, fields):
    with localcontext(prec=60):
        sums = [sum(Decimal(repr(fields[name])) for name in names) for names in (rule.parts, rule.whole)]
        return sums[0] > sums[1] + Decimal(repr(rule.tolerance))


def asked(rule, known):
    """Return what a condition says of a report, None for unknown."""

    def share_equal(other):
        number, equal = alike(known["report"], other, rule.leave_out)
        return equal / number if number else None

    def count_compared(other):
        return float(alike(known["report"], other, rule.leave_out)[0])

    functions = {
        "share_equal": share_equal, "count_compared": count_compared, "size": lambda value: float(len(value)),
    }  # fmt: skip
    found = conditions.asked(rule.condition, known, functions)
    assert found is None or isinstance(found, bool)
    return found


def alike(own, other, left_out):
    """Return how many numbers of a yearly report or a review are compared, and how many are equal."""
    pairs = []
    products = {one["product"]: one for one in other.get("products", [])}
    for one in own.get("products", []):
        then = products.get(one["product"], {})
        pairs += [(one[name], then.get(name)) for name in ("batches", "volume")]
    for name in ("year", "deviations", "recalls"):
        if name in own and name not in left_out:
            pairs.append((own[name], other.get(name)))
    for name, value in own["figures"].items():
        if not any(word in name for word in left_out):
            pairs.append((value, other["figures"].get(name)))
    pairs = [(a, b) for a, b in pairs if a != 0 or b != 0]
    return len(pairs), sum(a == b for a, b in pairs)


def fold(log, bundle, name):
    """Return the changes that a facility's log gives, in plain members."""
    facility = Facility(name, bundle)
    for record in log:
        facility.fold(record)
    return facility.changes
