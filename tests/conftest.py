"""Fixtures that every suite shares: one embedded Kafka a session, topics of their own for each test."""

from __future__ import annotations

import gc
import itertools
import os
import shutil
import threading
import zlib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from monitor.store.schema import upgrade
from monitor.store.session import Store
from rules.errors import PartMissingError
from streams import admin, jars, jvm
from streams.broker import EmbeddedBroker
from streams.settings import KafkaSettings
from tests.real_parts import require
from tests.shared_broker import Broker, BrokerKeeper, shared
from tests.stores import cluster, connections, postgres_bin

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.stores import Cluster

# Until all is collected nothing of what is made goes away: looking for it took three seconds of nine, in every process.
gc.disable()
# No deadline: a kernel that is compiled or a busy machine is no failure of the code.
_BUSY = [HealthCheck.too_slow]
settings.register_profile("dev", deadline=None, suppress_health_check=_BUSY)
settings.register_profile("ci", deadline=None, derandomize=True, suppress_health_check=_BUSY)
settings.load_profile("ci" if os.environ.get("CI") else "dev")
# Brokers of tests live for seconds: what the second compiler makes of them is not worth its time.
os.environ.setdefault(jvm.VARIABLE, "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
INNER_LOOP, USUAL = 25, 50
"""Examples of a property in `make check` and in `make test`, in percent of those that `make test-full` tries."""

_numbers = itertools.count(1)


LONG = (
    "tests/deploy/", "tests/faultlog/", "tests/monitor/supervise/", "tests/monitor/test_simulate_", "tests/monitor/test_evaluate_command",
    "tests/monitor/desk/test_threads", "tests/monitor/archive/test_archive_property", "tests/monitor/test_run_command",
    "tests/monitor/backup/test_backup", "tests/monitor/desk/test_follower_outages", "tests/monitor/demo/test_folder",
    "tests/monitor/archive/test_archive_reindex", "tests/monitor/test_gateway_connections", "tests/monitor/desk/test_stream",
    "tests/monitor/alarms/test_moments", "tests/streams/test_refold", "tests/streams/test_memory_groups",
    "tests/streams/test_memory_kills", "tests/streams/test_memory_order", "tests/streams/test_memory_commits",
    "tests/streams/test_worker.py::test_a_wrong_setting", "tests/streams/test_quarantine.py::test_released_from_quarantine",
    "tests/monitor/test_gateway_standing.py::test_the_process_ends", "tests/monitor/desk/test_admission.py::test_a_taken_port",
    "tests/contracts/test_kafka_python_clients", "tests/monitor/test_gateway_lane", "tests/e2e/test_quarantine_archive",
    "tests/rules/test_jump_properties.py::test_the_random_logs", "tests/rules/test_rows_properties.py::test_the_random_logs",
    "tests/rules/test_jump_properties.py::test_an_alarm_stands", "tests/rules/leaves/test_leaves_agree",
    "tests/rules/test_coverage.py::test_the_shipped_packs", "tests/rules/test_coverage.py::test_every_test_of_the_shipped",
    "tests/streams/test_rule_failures.py::test_what_is_published", "tests/streams/test_garbage.py::test_a_worker",
    "tests/rules/test_conflict_by_hand.py::test_a_facility_may_have", "tests/rules/test_watching.py::test_what_was_found",
    "tests/rules/test_failing_by_hand.py::test_a_rule_that_fails_again", "tests/monitor/packs/test_seen_by_others",
    "tests/rules/test_days_properties.py::test_the_random_logs", "tests/rules/test_days_properties.py::test_explanations",
    "tests/rules/test_exceptions_properties.py::test_the_leaves", "tests/rules/test_digits_properties.py::test_the_random_logs", "tests/rules/test_migration_properties.py::test_the_leaves",
)  # fmt: skip
"""Suites that start processes, fold hours or take a second of CPU and more a test: no part of the inner loop."""


ONE_DATABASE = {
    "tests/monitor/archive/test_archive_property.py": "postgresql",
    "tests/monitor/store/test_outbox_kills.py": "sqlite",
    "tests/monitor/desk/test_follower_outages.py::test_a_desk_killed_at_random_points": "sqlite",
}
"""Long suites that `make test` runs on one database alone; the other, named here, is left to `make test-full`."""


BROWSER = "tests/monitor/desk/browser/"
LANGUAGES = ("zh", "en")
FIRST = (
    "tests/e2e/test_demo.py", "tests/chaos/test_chaos.py", "tests/rules/test_marks_properties.py",
    "tests/rules/test_exceptions_properties.py", "tests/rules/test_trips_properties.py", "tests/deploy/test_acls_kafka.py",
    "tests/streams/test_broker.py", "tests/e2e/test_front_to_alarm.py", "tests/monitor/desk/browser/test_access.py",
    "tests/monitor/desk/browser/test_long_texts.py", "tests/monitor/desk/test_follower_outages.py",
    "tests/monitor/test_gateway_real.py", "tests/streams/test_worker_kafka.py", "tests/monitor/archive/test_archive_commands.py",
    "tests/e2e/test_quarantine_archive.py",
)  # fmt: skip
"""Files of a minute and more begin first: none of them is waited for alone at the end.

The first five begin at once: two that start a dozen processes each beside three that only compute. With five that start
processes a test whose own work is four seconds of CPU waited sixty for its turn.
"""


def _other_language(item: pytest.Item, parameters: dict[str, object]) -> bool:
    """Say whether a browser test in this language is left to `make test-full`: in `make test` each is run in one of both.

    Tests and windows share the languages out among them.
    """
    language = parameters.get("language")
    if not item.nodeid.startswith(BROWSER) or language not in LANGUAGES:
        return False
    others = sorted(f"{name}={value}" for name, value in parameters.items() if name != "language")
    rest = " ".join([item.nodeid.partition("[")[0], *others])
    return language != LANGUAGES[zlib.crc32(rest.encode()) % 2]


def pytest_configure(config: pytest.Config) -> None:
    """Let properties take fewer examples where slow suites are left out, and fewer yet in the inner loop (tests/examples.py)."""
    asked = config.option.markexpr
    share = INNER_LOOP if "not long" in asked else USUAL if "not slow" in asked else None
    if share is not None:
        settings.register_profile("fewer", settings.default, max_examples=share)
        settings.load_profile("fewer")


_keepers: list[BrokerKeeper] = []


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell each worker of xdist where the one broker is to be had."""
    if not _keepers:
        _keepers.append(BrokerKeeper())
    node.workerinput["broker"] = _keepers[0].address


def pytest_unconfigure() -> None:
    """End the broker of all workers with the run."""
    while _keepers:
        _keepers.pop().close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what uses the broker or PostgreSQL, or takes long, so that `make check` can leave it out."""
    for item in items:
        if item.nodeid.startswith(LONG):
            item.add_marker("long")
        names = set(getattr(item, "fixturenames", ()))
        if {"kafka", "kafka_settings"} & names:
            item.add_marker("kafka")
        parameters = getattr(getattr(item, "callspec", None), "params", {})
        if "postgresql" in parameters.values() or "postgres" in names:
            item.add_marker("postgres")
        left = next((base for start, base in ONE_DATABASE.items() if item.nodeid.startswith(start)), None)
        if (left is not None and left in parameters.values()) or _other_language(item, parameters):
            item.add_marker("slow")
    ranks = {name: rank for rank, name in enumerate(FIRST)}
    items.sort(key=lambda item: ranks.get(item.nodeid.partition("::")[0], len(FIRST)))


def pytest_collection_finish() -> None:
    """Look for garbage again, among what the tests make, and less often than for a small program."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    gc.enable()


@pytest.fixture(scope="module", autouse=True)
def _no_client_is_left_behind() -> Iterator[None]:
    """Fail the module that leaves a client's network thread behind: it would ask, and draw random numbers, in all that follow."""
    before = set(threading.enumerate())
    yield
    left = [thread.name for thread in set(threading.enumerate()) - before if thread.name.startswith("kafka-")]
    assert not left, left


@pytest.fixture(autouse=True)
def _no_store_is_left_open(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail the test that leaves a connection to a store open: the garbage collector's warning would fail a later one."""
    opened: list[Store] = []
    make = Store.__init__

    def noted(self: Store, *args: Any, **options: Any) -> None:
        make(self, *args, **options)
        opened.append(self)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "__init__", noted)
        yield
    assert not [store.engine.url for store in opened if connections(store)], "close() was not called"


@pytest.fixture(scope="session")
def kafka(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EmbeddedBroker | Broker]:
    """One embedded Kafka for the session; all workers of a run have the same one (tests/shared_broker.py)."""
    try:
        jars.ensure_jars()
    except PartMissingError as error:
        require(None, f"Kafka ({error})")
    given = getattr(request.config, "workerinput", None)
    if given is not None:
        yield shared(given["broker"])
        return
    with EmbeddedBroker(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


@pytest.fixture
def kafka_settings(kafka: EmbeddedBroker | Broker) -> KafkaSettings:
    """Settings of a test's own topics on the session's broker."""
    value = KafkaSettings(bootstrap=kafka.bootstrap, partitions=3, topic_prefix=f"t{next(_numbers)}-{os.getpid()}.")
    admin.create(value)
    return value


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """One PostgreSQL for the session, with a template database that holds the tables."""
    programs = postgres_bin()
    require(programs, "PostgreSQL")
    assert programs is not None
    # Not below pytest's own folder: every new session of pytest closes that to other users, and the server is one.
    with TemporaryDirectory(prefix="offsite-postgres-") as folder, cluster(Path(folder), programs) as server:
        server.execute("CREATE DATABASE offsite")
        template = Store(f"{server.url}/offsite")
        upgrade(template)
        template.close()
        yield server


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a SQLite file that holds the tables: a copy is quicker than the migrations."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    made = Store(f"sqlite:///{path}")
    upgrade(made)
    made.close()
    return path


@pytest.fixture
def sqlite_store(sqlite_template: Path, tmp_path: Path) -> Iterator[Store]:
    """Open a store of the test's own on SQLite alone, where the database is not what the test is about."""
    shutil.copy(sqlite_template, tmp_path / "store.db")
    opened = Store(f"sqlite:///{tmp_path}/store.db")
    yield opened
    opened.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty store of the test's own, its tables in place, on each database in turn."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres").database("offsite"))
    shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "store.db")
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """Open the test's own store."""
    opened = Store(store_url)
    yield opened
    opened.close()
