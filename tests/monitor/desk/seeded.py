"""A province's day in a store and an archive: made once a session, and copied for each test that starts from it."""

from __future__ import annotations

import copy
import shutil

from monitor.store.session import Store
from tests.monitor.deadlines.listed import province
from tests.monitor.desk import seeds
from tests.monitor.desk.lab import DeskLab


class Seeded:
    """The day as files. A copy of them is a tenth of the work of making them."""

    def __init__(self, folder, template):
        self._folder = folder
        shutil.copy(template, folder / "store.db")
        store = Store(f"sqlite:///{folder}/store.db")
        lab = DeskLab(store, folder / "archive")
        self._ids = seeds.day(lab)
        self._streams = lab.streams
        province(store)
        seeds.readings(lab, folder / "archive")
        store.close()
        assert not (folder / "store.db-wal").exists()  # the file alone is the whole store

    def copied(self, folder, make=DeskLab):
        """Return a desk on a copy below `folder`; its store is the caller's to close."""
        shutil.copy(self._folder / "store.db", folder / "store.db")
        shutil.copytree(self._folder / "archive", folder / "archive")
        lab = make(Store(f"sqlite:///{folder}/store.db"), folder / "archive")
        lab.ids, lab.streams = dict(self._ids), copy.deepcopy(self._streams)
        return lab
