"""The systemd units as plain values, and what is asked of them: each check returns what it finds wrong, nothing if all is well."""

from __future__ import annotations

import re

import typer
from pydantic import ValidationError

from monitor.cli import app as cli
from monitor.serving import STOP_S
from monitor.settings import SettingsError
from monitor.supervise.manager import FINAL_CODES
from streams.settings import KafkaSettings
from streams.worker_settings import WorkerSettings
from tests.deploy.compose import MODELS, PORTS, PRINCIPALS, ROOT, SECRETS

FOLDER = ROOT / "deploy" / "systemd"
PROGRAM = "/opt/offsite/bin/offsite"
NUMBERS = range(1, 10)
"""Workers of one machine: the port holds one digit of them."""
RUNS = {"lots": ["worker", "--lots"]}
"""What a unit runs that is not the command of its name."""
OUTAGE_S = 12
"""How long a start without Kafka, or without the database, takes at least, with the imports before it."""
KEEPS = {
    "archiver": {"StateDirectory": ["offsite/archive"], "User": ["offsite"]}, "desk": {"User": ["offsite"]},
    "gateway": {"StateDirectory": ["offsite-proofs"], "User": ["offsite-gateway"]},
}  # fmt: skip
SPECIFIERS = {"%H": "host-a", "%d": "/run/credentials/unit", "%C": "/var/cache", "%S": "/var/lib"}
HARDENING = {
    "NoNewPrivileges": ["yes"], "ProtectSystem": ["strict"], "ProtectHome": ["yes"], "PrivateTmp": ["yes"],
    "PrivateDevices": ["yes"], "DevicePolicy": ["closed"], "ProtectClock": ["yes"], "ProtectControlGroups": ["yes"],
    "ProtectHostname": ["yes"], "ProtectKernelLogs": ["yes"], "ProtectKernelModules": ["yes"],
    "ProtectKernelTunables": ["yes"], "ProtectProc": ["invisible"], "CapabilityBoundingSet": [""],
    "RestrictAddressFamilies": ["AF_INET AF_INET6 AF_UNIX"], "RestrictNamespaces": ["yes"], "RestrictRealtime": ["yes"],
    "RestrictSUIDSGID": ["yes"], "RemoveIPC": ["yes"], "LockPersonality": ["yes"],
    "SystemCallArchitectures": ["native"], "SystemCallFilter": ["@system-service", "~@privileged @resources"],
    "SystemCallErrorNumber": ["EPERM"], "UMask": ["0077"],
}  # fmt: skip


def parse(text):
    """Return section -> key -> values, in order."""
    sections, section = {}, None
    for line in text.splitlines():
        if not line.strip() or line.startswith(("#", ";")):
            continue
        if line.startswith("["):
            section = sections.setdefault(line.strip("[]"), {})
        else:
            key, _, value = line.partition("=")
            section.setdefault(key, []).append(value)
    return sections


def load():
    """Return the units by the process that they run; the worker's is a template."""
    units = {}
    for path in sorted(FOLDER.glob("offsite-*.service")):
        units[path.stem.removeprefix("offsite-").rstrip("@")] = parse(path.read_text(encoding="utf-8"))
    return units


def variables_of_file():
    lines = (FOLDER / "offsite.env").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def filled(value, number=1):
    for specifier, stands_for in (SPECIFIERS | {"%i": str(number)}).items():
        value = value.replace(specifier, stands_for)
    return value


def environment(unit, number=1):
    return dict(filled(row, number).split("=", 1) for row in unit["Service"].get("Environment", []))


def credentials(unit):
    return dict(row.split(":", 1) for row in unit["Service"].get("LoadCredential", []))


def sections(units):
    known = {"Unit", "Service", "Install"}
    return [f"{name}: sections {sorted(unit)}" for name, unit in units.items() if set(unit) != known]


def commands(units):
    """Every unit runs the process of its name, and nothing else."""
    group = typer.main.get_command(cli)
    found = []
    for name, unit in units.items():
        (line,) = unit["Service"]["ExecStart"]
        program, *words = line.split()
        command = RUNS.get(name, [name])
        if program != PROGRAM or words[: len(command)] != command or command != RUNS.get(name, words[:1]):
            found.append(f"{name}: {line} runs something else")
            continue
        if group.get_command(typer.Context(group), command[0]) is None:
            found.append(f"{name}: {line} runs something else")
            continue
        options = {option for p in group.get_command(typer.Context(group), command[0]).params for option in p.opts}
        found += [f"{name}: {w} is no option" for w in words[1:] if w.partition("=")[0] not in options]
    return found


def variables(units):
    """Every OFFSITE_* is a setting, and its value one that the setting takes; each process is told the common ones."""
    found = []
    for name, unit in units.items():
        if unit["Service"].get("EnvironmentFile") != ["/etc/offsite/offsite.env"]:
            found.append(f"{name}: does not read the installation's settings")
        given = variables_of_file() | environment(unit)
        own = {key: value for key, value in given.items() if key.startswith("OFFSITE_")}
        for prefix, model in MODELS.items():
            values = {key[len(prefix) :].lower(): value for key, value in own.items() if key.startswith(prefix)}
            unknown = values.keys() - model.model_fields.keys()
            found += [f"{name}: {prefix}{key.upper()} is no setting" for key in sorted(unknown)]
            own = {key: value for key, value in own.items() if not key.startswith(prefix)}
            try:
                made = model(**{key: value for key, value in values.items() if key not in unknown})
                if prefix == "OFFSITE_KAFKA_":
                    KafkaSettings.model_validate(made.model_dump())
                if prefix == "OFFSITE_WORKER_":
                    WorkerSettings(instance=made.instance, port=made.port)
            except (SettingsError, ValidationError) as error:
                found.append(f"{name}: {error}")
        found += [f"{name}: {key} is no setting" for key in own]
    return found


def secrets(units):
    """A process is given its own secrets, as credentials, and finds them where its settings say."""
    found = []
    for name, unit in units.items():
        given = credentials(unit)
        files = {key: value for key, value in environment(unit).items() if key.endswith("_PASSWORD_FILE")}
        sources = {path.removeprefix("/etc/offsite/secrets/") for path in given.values()}
        if sources != SECRETS[name]:
            found.append(f"{name}: is given {sorted(sources)}")
        if set(files.values()) != {f"{SPECIFIERS['%d']}/{credential}" for credential in given}:
            found.append(f"{name}: looks for {sorted(files.values())}, is given {sorted(given)}")
        if environment(unit).get("OFFSITE_KAFKA_USERNAME") != PRINCIPALS[name]:
            found.append(f"{name}: another's principal")
    open_ones = [key for key in variables_of_file() if re.search("PASSWORD|SECRET|TOKEN", key)]
    return [*found, *(f"offsite.env: {key} in the open" for key in open_ones)]


def instances(units):
    """No two workers of a machine, and none of two machines, share a name, a port or a folder."""
    worker, found = units["worker"], []
    several = [environment(worker, number) for number in NUMBERS]
    for key in ("OFFSITE_WORKER_INSTANCE", "OFFSITE_WORKER_PORT", "NUMBA_CACHE_DIR"):
        values = {own.get(key, "") for own in several}
        if len(values) != len(several):
            found.append(f"worker: {key} is the same for two")
        if key.endswith("PORT") and {int(value or 0) for value in values} & {PORTS[n] for n in PORTS if n != "worker"}:
            found.append("worker: a port of another process")
    if SPECIFIERS["%H"] not in several[0]["OFFSITE_WORKER_INSTANCE"]:
        found.append("worker: its name is the same on two machines")
    folders = {}
    for name, unit in units.items():
        own = environment(unit).get("NUMBA_CACHE_DIR")
        cache = [f"/var/cache/{filled(value)}" for value in unit["Service"].get("CacheDirectory", [])]
        if cache != [own]:
            found.append(f"{name}: may write {cache}, writes {own}")
        if own in folders:
            found.append(f"{name}: writes where {folders[own]} does")
        folders[own] = name
    return found


def users(units):
    """Who keeps files has a user that owns them; all others are nobody."""
    found = []
    for name, unit in units.items():
        service, keeps = unit["Service"], KEEPS.get(name, {})
        if (service.get("DynamicUser") == ["yes"]) == ("User" in keeps):
            found.append(f"{name}: its user")
        found += [f"{name}: {key}={service.get(key)}" for key in ("User", "StateDirectory")
                  if service.get(key) != keeps.get(key)]  # fmt: skip
    return found


def hardening(units):
    found = []
    for name, unit in units.items():
        service = unit["Service"]
        found += [f"{name}: {key}={service.get(key)}" for key, value in HARDENING.items() if service.get(key) != value]
        for key in ("ReadWritePaths", "BindPaths", "AmbientCapabilities", "PermissionsStartOnly"):
            if key in service:
                found.append(f"{name}: {key}")
        if "MemoryMax" not in service:
            found.append(f"{name}: memory without end")
    return found


def ends(units):
    """Every process is started again, unless that cannot help; an outage never uses the limit up, a crash loop does."""
    found = []
    final = " ".join(str(code) for code in sorted(FINAL_CODES))
    for name, unit in units.items():
        service = {key: values[-1] for key, values in unit["Service"].items()}
        if (service.get("Restart"), service.get("RestartPreventExitStatus")) != ("always", final):
            found.append(f"{name}: its restart")
        if service.get("KillSignal") != "SIGTERM" or service.get("KillMode") != "mixed":
            found.append(f"{name}: how it is told to end")
        if float(service.get("TimeoutStopSec", 0)) < 2 * max(STOP_S, WorkerSettings().stop_timeout_s):
            found.append(f"{name}: no time to end")
        pause = float(service.get("RestartSec", 0.1))
        interval, burst = (
            float(unit["Unit"].get(key, ["0"])[0]) for key in ("StartLimitIntervalSec", "StartLimitBurst")
        )
        if not burst * pause <= interval < burst * (pause + OUTAGE_S):
            found.append(f"{name}: {burst} starts within {interval} s, {pause} s apart")
        if "WatchdogSec" in service or service.get("Type") != "exec":
            found.append(f"{name}: it tells systemd nothing")  # no process notifies
    return found


def target(units, text=None):
    """The target starts each of them, and they end with it."""
    wanted = parse(text or (FOLDER / "offsite.target").read_text(encoding="utf-8"))["Unit"]["Wants"][0].split()
    found = [f"{name} is not wanted" for name in units
             if f"offsite-{name}.service" not in wanted and f"offsite-{name}@1.service" not in wanted]  # fmt: skip
    for name, unit in units.items():
        if unit["Unit"].get("PartOf") != ["offsite.target"] or unit["Install"].get("WantedBy") != ["offsite.target"]:
            found.append(f"{name}: is no part of the target")
    return found


CHECKS = [sections, commands, variables, secrets, instances, users, hardening, ends, target]
