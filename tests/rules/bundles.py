"""Bundles beside the shipped one."""

from __future__ import annotations

from rules.pack import Bundle, default_bundle


def changed(version="1.1.0", high=7.0, rule="cold-chain.store-out"):
    """Return the shipped packs with another high limit of one rule."""
    shipped = default_bundle()
    old = shipped.rule(rule)
    limits = old.limits.model_copy(update={"from_": old.limits.from_.model_copy(update={"high": high})})
    new = old.model_copy(update={"version": version, "limits": limits})
    rules = [new if each.id == rule else each for each in shipped.rules]
    return Bundle.of(rules, shipped.tables.values(), (), shipped.calendars.values())
