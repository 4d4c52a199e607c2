"""A restart from a snapshot, at one record of a log: what every kind must bear."""

from __future__ import annotations

from rules.engine import Engine
from rules.pack import Bundle
from rules.records import Kind, PacksRecord, Tick


def restarted(bundle, name, log, cut, until):
    """Fold a log with a restart behind `cut` records; what is sent again then is nothing new, and the end is as without it.

    Returns the engine that never stopped, and its changes.
    """
    whole, first, second = Engine(bundle), Engine(bundle), Engine(bundle)
    wanted = _run(whole, log) + whole.advance(0, until)
    changes = _run(first, log[:cut])
    snapshot, marker = first.snapshot(0, name), first.partition_state(0)
    for record in log[:cut]:
        if record.kind is Kind.PACKS:
            second.know(Bundle.from_record(record.payload))
    second.restore_partition(0, marker)
    second.restore(0, name, snapshot)
    assert second.snapshot(0, name) == snapshot
    own = [record for record in log[1:cut] if not isinstance(record.payload, Tick | PacksRecord)]
    assert _run(second, own) == []
    assert changes + _run(second, log[cut:]) + second.advance(0, until) == wanted
    assert second.snapshot(0, name) == whole.snapshot(0, name)
    return whole, wanted


def _run(engine, log):
    return [change for record in log for change in engine.fold(record)]
