"""Settings of every process, from OFFSITE_* environment variables (and command-line options that override them).

Binds are loopback by default; secrets are files. `docs/settings.md` is checked against these models by a test.
"""

from __future__ import annotations

import difflib
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from rules.errors import BadInputError, Fault
from rules.faults import unreadable
from rules.models import faults_of
from streams.settings import DEFAULT_PARTITIONS, KafkaSettings
from streams.worker_settings import WorkerSettings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitor.store.session import Store


class SettingsError(BadInputError):
    """A setting is wrong; every one is named by its variable."""

    code: ClassVar[str] = "settings"
    action: ClassVar[str] = "Correct the variables named (docs/settings.md lists them) and run it again."

    def __init__(self, prefix: str, error: ValidationError) -> None:
        named = [Fault(_variable(prefix, fault.pointer), fault.code, fault.detail) for fault in faults_of(error)]
        super().__init__("settings", named)


def _variable(prefix: str, pointer: str) -> str:
    return prefix + pointer.strip("/").replace("/", "_").upper()


class Environment(BaseSettings):
    """Base of a process's settings.

    Raises:
        SettingsError: with every variable that is wrong.
    """

    def __init__(self, **values: Any) -> None:  # noqa: ANN401 - as pydantic-settings takes them
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise SettingsError(str(self.model_config.get("env_prefix", "")), error) from None


class KafkaEnvironment(Environment):
    """OFFSITE_KAFKA_*: how to reach Kafka."""

    model_config = SettingsConfigDict(env_prefix="OFFSITE_KAFKA_", extra="ignore")

    bootstrap: str = "127.0.0.1:9092"
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str | None = None
    username: str | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    partitions: int = Field(default=DEFAULT_PARTITIONS, ge=1)
    replication: int = Field(default=1, ge=1)
    cluster_id: str | None = None
    topic_prefix: str = ""


class WorkerEnvironment(Environment):
    """OFFSITE_WORKER_*: the worker."""

    model_config = SettingsConfigDict(env_prefix="OFFSITE_WORKER_", extra="ignore")

    instance: str = Field(default="worker-1", pattern=r"^[a-zA-Z0-9._-]{1,64}$")
    """A stable name per worker: static membership makes a restart quick."""
    host: str = "127.0.0.1"
    port: int = Field(default=8711, ge=0, le=65535)
    group: str = "offsite-fold"
    checkpoint_s: float = Field(default=5.0, gt=0, le=600)
    snapshot_s: float = Field(default=60.0, gt=0, le=3600)
    tick_s: float = Field(default=5.0, gt=0, le=300)
    folder: Path = Path("var/worker")
    """Here it notes which record it folds, so that one that ends it is found out (docs/quarantine.md)."""
    clock_wait_s: float = Field(default=900.0, gt=0, le=3600)
    """How long a partition waits at most when Kafka's clock jumps ahead of every other."""
    chunked: bool = True
    """One Faust message per fetch and partition; false takes Faust's stock transport."""
    session_timeout_s: float = Field(default=10.0, ge=6, le=300)
    """Partitions of a worker that died go to others after this; a worker that comes back earlier keeps them."""
    recovery_timeout_s: float = Field(default=60.0, gt=0, le=80)
    stall_timeout_s: float = Field(default=60.0, gt=0, le=3600)


class GatewayEnvironment(Environment):
    """OFFSITE_GATEWAY_*: the front door."""

    model_config = SettingsConfigDict(env_prefix="OFFSITE_GATEWAY_", extra="ignore")

    name: str = Field(default="gw-1", pattern=r"^[a-zA-Z0-9._-]{1,64}$")
    host: str = "127.0.0.1"
    port: int = Field(default=8710, ge=0, le=65535)
    tick_s: float = Field(default=5.0, gt=0, le=300)
    send_timeout_s: float = Field(default=10.0, gt=0, le=120)
    max_in_flight_bytes: int = Field(default=64 * 1024 * 1024, ge=1024 * 1024)
    max_body_bytes_held: int = Field(default=128 * 1024 * 1024, ge=64 * 1024 * 1024)
    """Of all bodies being read together; one key may hold an eighth of it."""
    connections: int = Field(default=2_000, ge=1, le=50_000)
    connections_per_peer: int = Field(default=1_500, ge=1, le=50_000)
    """Of one address; behind a proxy all firms have the proxy's."""
    posts_per_minute: int = Field(default=600, ge=1)
    """Quota of one key."""
    bytes_per_minute: int = Field(default=256 * 1024 * 1024, ge=1024 * 1024)
    """Quota of one key: bytes of bodies, after decoding."""
    posts_at_once: int = Field(default=32, ge=1, le=10_000)
    """Posts of one key under way at the same time."""
    queries_per_minute: int = Field(default=60, ge=1)
    """Quota of one key for `GET /v1/feed` and `/v1/register`."""
    look_back_h: float = Field(default=24, gt=0, le=24 * 90)
    """How far `GET /v1/feed` looks back in the log at a start ..."""
    look_back_records: int = Field(default=2_000, ge=1, le=1_000_000)
    """... and at most so many records per partition."""
    large_body_processes: int = Field(default=1, ge=1, le=32)
    """Processes that read bodies above 64 KiB, apart from everybody's small posts; started when the first one comes."""


class ProofsEnvironment(Environment):
    """OFFSITE_PROOFS_*: the folder of proofs, which the gateway writes and desk and backups read."""

    model_config = SettingsConfigDict(env_prefix="OFFSITE_PROOFS_", extra="ignore")

    folder: Path = Path("var/proofs")
    max_bytes: int = Field(default=16 * 1024 * 1024, ge=1024, le=1024 * 1024 * 1024)
    """Of one proof."""
    facility_bytes: int = Field(default=2 * 1024 * 1024 * 1024, ge=1024)
    """Quota of one facility ..."""
    facility_files: int = Field(default=5_000, ge=1, le=100_000)
    """... and at most so many proofs of it."""
    keep_free_bytes: int = Field(default=1024 * 1024 * 1024, ge=0)
    """Stays free on the disk: below it proofs are told 503."""
    keep_days: int | None = Field(default=None, ge=1, le=36_500)
    """How long `offsite proofs prune` keeps one; none: for ever. How long the law asks for is not known here, and what is gone is gone."""


class StoreEnvironment(Environment):
    """OFFSITE_STORE_*: the SQL store of register, desk and archive index."""

    model_config = SettingsConfigDict(env_prefix="OFFSITE_STORE_", extra="ignore")

    url: str = "sqlite:///var/offsite.db"
    """SQLite for one machine, `postgresql://user@host/name` for more."""
    password_file: Path | None = None


class DeskEnvironment(Environment):
    """OFFSITE_DESK_*: the desk of supervisors."""

    model_config = SettingsConfigDict(env_prefix="OFFSITE_DESK_", extra="ignore")

    host: str = "127.0.0.1"
    port: int = Field(default=8712, ge=0, le=65535)
    hosts: str = "127.0.0.1,localhost"
    """Names under which it is reached, separated by commas; a request for another name is refused."""
    https: bool = False
    """Served through TLS (by a proxy in front): the cookie is then sent over TLS only. Needed beyond loopback."""
    alertmanager: str | None = None
    """Base URL of an Alertmanager that is told of open alarms."""
    public_url: str = ""
    """How people reach the desk; links in notifications begin with it."""


class ArchiverEnvironment(Environment):
    """OFFSITE_ARCHIVER_*: the archiver, and where commands find the archive."""

    model_config = SettingsConfigDict(env_prefix="OFFSITE_ARCHIVER_", extra="ignore")

    folder: Path = Path("var/archive")
    instance: str = Field(default="archiver-1", pattern=r"^[a-zA-Z0-9._-]{1,64}$")
    host: str = "127.0.0.1"
    port: int = Field(default=8713, ge=0, le=65535)
    flush_s: float = Field(default=5.0, gt=0, le=600)
    idle_flush_s: float = Field(default=60.0, gt=0, le=3600)
    """For partitions with nothing but ticks."""
    flush_bytes: int = Field(default=8 * 1024 * 1024, ge=64 * 1024, le=256 * 1024 * 1024)
    settle_s: float = Field(default=120.0, ge=0, le=86_400)
    """An hour is cut by facility so long after its end."""
    grace_s: float = Field(default=600.0, ge=1, le=86_400)
    """Replaced files are deleted after this."""
    lease_s: float = Field(default=15.0, ge=1, le=600)
    stall_s: float = Field(default=60.0, ge=1, le=3600)


ELSEWHERE = frozenset({
    "OFFSITE_BROKER_JAVA_OPTIONS", "OFFSITE_JAVA", "OFFSITE_KERNELS", "OFFSITE_DEMO_BEGAN", "OFFSITE_NAME", "OFFSITE_BIND",
    "OFFSITE_SECRETS", "OFFSITE_FRONT_SUBNET", "OFFSITE_KAFKA_VOTERS", "OFFSITE_REQUIRE_REAL_PARTS", "OFFSITE_CHAOS",
})  # fmt: skip
"""Variables that no model holds: of the embedded broker, the demo, the container files and the tests."""
SLIPS = 20
"""Variables that nothing reads, named at most."""


def slips(names: Iterable[str]) -> list[str]:
    """Return a line for each OFFSITE_* variable that nothing reads, with the known one that it is nearest to."""
    models = (
        KafkaEnvironment, WorkerEnvironment, GatewayEnvironment, StoreEnvironment, DeskEnvironment, ArchiverEnvironment,
        ProofsEnvironment,
    )  # fmt: skip
    known = ELSEWHERE.union(
        f"{model.model_config['env_prefix']}{name.upper()}" for model in models for name in model.model_fields
    )
    # Settings are found whatever their case.
    unread = sorted(name for name in names if name.upper().startswith("OFFSITE_") and name.upper() not in known)
    lines = []
    for name in unread[:SLIPS]:
        near = difflib.get_close_matches(name.upper(), sorted(known), 1)
        lines.append(f"nothing reads the variable {name}" + (f"; is {near[0]} meant?" if near else ""))
    return lines


def open_store() -> Store:
    """Open the store of the environment, its tables in place.

    Raises:
        OffsiteError: no such database, or tables of another release.
    """
    from monitor.store.schema import ensure_ready  # noqa: PLC0415 - Alembic, which most commands do not need
    from monitor.store.session import Store  # noqa: PLC0415 - SQLAlchemy, as above

    environment = StoreEnvironment()
    _files_are_there({"OFFSITE_STORE_PASSWORD_FILE": environment.password_file})
    store = Store(environment.url, environment.password_file)
    try:
        ensure_ready(store)
    except BaseException:
        store.close()
        raise
    return store


def worker_settings() -> WorkerSettings:
    """Return the worker's settings, from the environment."""
    values = WorkerEnvironment().model_dump()
    renamed = {"checkpoint_s": "checkpoint_every_s", "snapshot_s": "snapshot_every_s", "tick_s": "tick_every_s"}
    kafka = kafka_settings()
    try:
        return WorkerSettings.model_validate(
            {renamed.get(name, name): value for name, value in values.items()} | {"kafka": kafka}
        )
    except ValidationError as error:
        raise SettingsError("OFFSITE_WORKER_", error) from None


def kafka_settings() -> KafkaSettings:
    """Return how to reach Kafka, from the environment.

    Raises:
        BadInputError: a variable is wrong, or a file that one names cannot be read.
    """
    values = KafkaEnvironment().model_dump()
    try:
        settings = KafkaSettings.model_validate(values)
    except ValidationError as error:
        raise SettingsError("OFFSITE_KAFKA_", error) from None
    _files_are_there({"OFFSITE_KAFKA_PASSWORD_FILE": settings.password_file, "OFFSITE_KAFKA_CA_FILE": settings.ca_file})
    return settings


def _files_are_there(files: dict[str, Path | None]) -> None:
    """Read what the settings name: a client of Kafka would say of it that no broker answers.

    Raises:
        BadInputError: with every file that cannot be read, and the CA file that holds no certificates.
    """
    faults = []
    for variable, path in files.items():
        try:
            if path is not None and variable.endswith("CA_FILE"):
                ssl.create_default_context(cafile=path)
            elif path is not None:
                path.read_text(encoding="utf-8")
        except ssl.SSLError:
            faults.append(Fault(variable, "unreadable", f"{path} holds no certificates"))
        except (OSError, UnicodeDecodeError) as error:
            faults.append(Fault(variable, "unreadable", f"{path} cannot be read: {unreadable(error)}"))
    if faults:
        raise BadInputError("settings", faults)
