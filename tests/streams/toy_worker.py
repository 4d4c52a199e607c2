"""A worker process with the toy fold (or the real engine), for tests that kill it: `python -m tests.streams.toy_worker`."""

from __future__ import annotations

import json
import logging
import os
import sys


def main() -> None:
    settings_json, fold_json = sys.argv[1:3]
    logging.basicConfig(level=logging.INFO, format=f"%(asctime)s {os.getpid()} %(levelname)s %(name)s %(message)s")
    from streams.worker import run
    from streams.worker_settings import WorkerSettings

    options = json.loads(fold_json)
    if place := options.pop("place", ""):
        be_elsewhere(place, heedless=options.pop("heedless", False))
    if options.pop("real", False):
        from rules.engine import Engine
        from rules.pack import default_bundle

        fold = Engine(default_bundle())
    else:
        from tests.streams.toy import ToyFold

        fold = ToyFold(**options)
    run(WorkerSettings.model_validate_json(settings_json), fold)


def be_elsewhere(place: str, *, heedless: bool) -> None:
    """Run as if on another machine; a heedless worker does not ask who has its name, as releases before did."""
    from streams import standing

    class NameElsewhere(standing.Name):
        def __init__(self, *named: str) -> None:
            super().__init__(place, *named[1:])

    standing.here = lambda: place
    standing.Name = NameElsewhere  # type: ignore[misc]
    if heedless:
        from streams import worker

        worker.claim = lambda *_: NameElsewhere("", "", f"{os.getpid()}")


if __name__ == "__main__":
    main()
