"""docker-compose.yml as plain values, and what is asked of it: each check returns what it finds wrong, nothing if all is well."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import typer
import yaml
from jsonschema import Draft202012Validator
from pydantic import ValidationError
from pydantic_settings import BaseSettings

from monitor import settings as settings_module
from monitor.cli import app as cli
from monitor.settings import (
    ArchiverEnvironment,
    DeskEnvironment,
    GatewayEnvironment,
    SettingsError,
    WorkerEnvironment,
)
from streams import jars
from streams.settings import KafkaSettings

ROOT = Path(__file__).parents[2]
MODELS = {
    model.model_config["env_prefix"]: model
    for model in vars(settings_module).values()
    if isinstance(model, type) and issubclass(model, BaseSettings) and model.model_config.get("env_prefix")
}
PORTS = {
    name: model.model_fields["port"].default
    for name, model in {
        "gateway": GatewayEnvironment, "worker": WorkerEnvironment, "lots": WorkerEnvironment, "desk": DeskEnvironment,
        "archiver": ArchiverEnvironment,
    }.items()
}  # fmt: skip
OTHER_PORTS = {"prometheus": 9090, "alertmanager": 9093, "grafana": 3000, "postgres": 5432}
ONE_SHOT = {"grant", "topics", "packs", "upkeep"}
PRINCIPALS = {name: name for name in PORTS} | {"lots": "worker", "packs": "publisher"}
"""Services that come to Kafka as somebody, and as whom; all others are the administrator."""
EDGE = {"gateway", "proxy", "alertmanager"}
"""Who may have a way to the host or the world."""
SECRETS = {
    "kafka-1": {"kafka_broker_password", "kafka_admin_password", "kafka_cluster_id"},
    "grant": {"kafka_admin_password", *(f"kafka_{name}_password" for name in PRINCIPALS.values())},
    "topics": {"kafka_admin_password"},
    "gateway": {"kafka_gateway_password"},
    "worker": {"kafka_worker_password"},
    "lots": {"kafka_worker_password"},
    "desk": {"kafka_desk_password", "store_password"},
    "archiver": {"kafka_archiver_password", "store_password"},
    "packs": {"kafka_publisher_password", "store_password"},
    "upkeep": {"kafka_admin_password", "store_password"},
    "postgres": {"postgres_password", "store_password"},
    "proxy": {"tls_certificate", "tls_key"},
    "grafana": {"grafana_admin_password"},
}
SECRETS |= {"kafka-2": SECRETS["kafka-1"], "kafka-3": SECRETS["kafka-1"]}
VARIABLE = re.compile(r"\$\{([A-Z_]+)(?::-([^}]*))?\}")
SECRET_NAME = re.compile(r"PASSWORD|SECRET|TOKEN|KEY")


def load():
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))


def filled(value, given=None):
    """Put variables in as Compose does."""
    return VARIABLE.sub(lambda match: (given or {}).get(match[1], match[2] or ""), str(value))


def environment(service, given=None):
    return {name: filled(value, given) for name, value in service.get("environment", {}).items()}


def schema(compose):
    # Beside the package, since importing it starts its command line.
    folder = Path(importlib.util.find_spec("check_jsonschema").origin).parent
    spec = json.loads((folder / "builtin_schemas" / "vendor" / "compose-spec.json").read_text(encoding="utf-8"))
    return [f"{error.json_path}: {error.message[:150]}" for error in Draft202012Validator(spec).iter_errors(compose)]


def dependencies(compose):
    services, found = compose["services"], []
    for name, service in services.items():
        for target, how in service.get("depends_on", {}).items():
            if target not in services:
                found.append(f"{name} waits for {target}, which is no service")
                continue
            other, condition = services[target], how["condition"]
            if condition == "service_healthy" and "healthcheck" not in other:
                found.append(f"{name} waits for the health of {target}, which has no check")
            if (condition == "service_completed_successfully") != (target in ONE_SHOT):
                found.append(f"{name} waits for {condition} of {target}")
            if "profiles" in other and "profiles" not in service and how.get("required", True):
                found.append(f"{name} cannot start without {target}, which is in a profile")
    return found


def variables(compose, given=None):
    """Every OFFSITE_* is a setting, and its value one that the setting takes."""
    found = []
    for name, service in compose["services"].items():
        own = {key: value for key, value in environment(service, given).items() if key.startswith("OFFSITE_")}
        for prefix, model in MODELS.items():
            values = {key[len(prefix) :].lower(): value for key, value in own.items() if key.startswith(prefix)}
            unknown = values.keys() - model.model_fields.keys()
            found += [f"{name}: {prefix}{key.upper()} is no setting" for key in sorted(unknown)]
            own = {key: value for key, value in own.items() if not key.startswith(prefix)}
            try:
                made = model(**{key: value for key, value in values.items() if key not in unknown})
                if prefix == "OFFSITE_KAFKA_":
                    KafkaSettings.model_validate(made.model_dump())
            except (SettingsError, ValidationError) as error:
                found.append(f"{name}: {error}")
        found += [f"{name}: {key} is no setting" for key in own]
    text = json.dumps(compose)
    found += [f"${{{match[1]}}} has no default" for match in VARIABLE.finditer(text) if match[2] is None]
    return found


def commands(compose):
    """Every command of our image is one of `offsite`, with options it knows."""
    found = []
    for name, service in compose["services"].items():
        if "build" not in service or "entrypoint" in service:
            continue
        place, context = typer.main.get_command(cli), None
        for word in service["command"]:
            context = context or typer.Context(place)
            if word.startswith("-"):
                known = {option for parameter in place.params for option in parameter.opts}
                if word.partition("=")[0] not in known:
                    found.append(f"{name}: {word} is no option of {place.name}")
                continue
            sub = place.get_command(context, word) if hasattr(place, "get_command") else None
            if sub is None:
                found.append(f"{name}: {word} is no command")
                break
            place = sub
    return found


def ports(compose):
    """Health is asked, and the host served, at the port where the process listens."""
    found = []
    for name, port in PORTS.items():
        service = compose["services"][name]
        if not any(f"127.0.0.1:{port}/healthz" in str(word) for word in service["healthcheck"]["test"]):
            found.append(f"{name}: its health is not asked at {port}")
        own, prefix = environment(service), "WORKER" if name == "lots" else name.upper()
        if f"OFFSITE_{prefix}_PORT" in own:
            found.append(f"{name}: another port than the code's default")
        if own.get(f"OFFSITE_{prefix}_HOST") != "0.0.0.0":
            found.append(f"{name}: nobody outside its container reaches it")
    for name, service in compose["services"].items():
        for row in service.get("ports", []):
            address, outer, inner = filled(row).split(":")
            if name not in EDGE or address != "127.0.0.1" or outer != inner:
                found.append(f"{name}: publishes {row}")
            if name in PORTS and int(inner) != PORTS[name]:
                found.append(f"{name}: {inner} is not where it listens")
    return found


def paths(compose):
    """What is mounted is there, and read-only unless it is a named volume."""
    found = []
    for name, service in compose["services"].items():
        for row in service.get("volumes", []):
            source, target, *mode = row.split(":")
            if source.startswith("./"):
                if not (ROOT / source).exists():
                    found.append(f"{name}: {source} does not exist")
                if mode != ["ro"]:
                    found.append(f"{name}: {source} is not mounted read-only")
            elif source not in compose["volumes"]:
                found.append(f"{name}: volume {source} is not declared")
            for word in [*service.get("entrypoint", []), *map(str, service.get("command", []))]:
                inside = word.partition("=")[2] or word
                if inside.startswith(f"{target}/") and source.startswith("./"):
                    inner = ROOT / source / inside[len(target) + 1 :]
                    if not inner.exists():
                        found.append(f"{name}: {inside} does not exist")
        own = [row.split(":")[1] for row in service.get("volumes", [])]
        words = [*service.get("entrypoint", []), *map(str, service.get("command", []))]
        for inside in (word.partition("=")[2] or word for word in words):
            if inside.startswith("/deploy") and not any(inside.startswith(target) for target in own):
                found.append(f"{name}: nothing is mounted at {inside}")
    return found


def secrets(compose):
    """Secrets are files, and each service has those that it needs and no other."""
    found = []
    for name, service in compose["services"].items():
        granted = set(service.get("secrets", []))
        if granted != SECRETS.get(name, set()):
            found.append(f"{name}: has {sorted(granted)}, needs {sorted(SECRETS.get(name, set()))}")
        found += [f"{name}: {secret} is not declared" for secret in granted - compose["secrets"].keys()]
        for key, value in environment(service).items():
            if value.startswith("/run/secrets/") and value.removeprefix("/run/secrets/") not in granted:
                found.append(f"{name}: {key} names a file that it is not given")
            if SECRET_NAME.search(key) and not key.endswith("_FILE") and value not in {"true", "false"}:
                found.append(f"{name}: {key} holds its secret itself")
            if key.endswith("PASSWORD_FILE") and not value.startswith("/run/secrets/"):
                found.append(f"{name}: {key} is no secret's file")
    found += [
        f"secret {name}: not a file of its own name in deploy/secrets"
        for name, row in compose["secrets"].items()
        if row != {"file": f"./deploy/secrets/{name}"}
    ]
    return found


def images(compose):
    """Pinned to a whole version; Kafka to the one that the tests run."""
    found = []
    for name, service in compose["services"].items():
        _, _, tag = service["image"].partition(":")
        if not re.match(r"v?\d+\.\d+", tag):
            found.append(f"{name}: {service['image']} is not pinned by version")
        if name.startswith("kafka-") and service["image"] != f"apache/kafka:{jars.KAFKA}":
            found.append(f"{name}: the tests run Kafka {jars.KAFKA}")
    return found


def hardening(compose):
    found = []
    for name, service in compose["services"].items():
        user = str(service.get("user", "0")).split(":")
        rules = {
            "runs as root": all(part.isdigit() and int(part) > 0 for part in user),
            "can write its own files": service.get("read_only") is True,
            "keeps capabilities": service.get("cap_drop") == ["ALL"] and "cap_add" not in service,
            "can gain privileges": service.get("security_opt") == ["no-new-privileges:true"],
            "is privileged": not service.get("privileged") and "network_mode" not in service and "pid" not in service,
            "logs without bound": {"max-size", "max-file"} <= service.get("logging", {}).get("options", {}).keys(),
            "has no restart policy": service.get("restart") == ("no" if name in ONE_SHOT else "unless-stopped"),
            "has no health check": ("healthcheck" in service) != (name in ONE_SHOT),
            "has no limits": service.get("deploy", {}).get("resources", {}).get("limits", {}).keys()
            == {"cpus", "memory", "pids"},
            "has unbounded memory files": all("size=" in row for row in service.get("tmpfs", [])),
            "sees the host's Docker": not any("docker.sock" in row for row in service.get("volumes", [])),
        }
        found += [f"{name}: {what}" for what, good in rules.items() if not good]
    return found


def reach(compose):
    """Who talks to whom shares a network with it; only few have a way out."""
    services, found = compose["services"], []
    for name, network in compose["networks"].items():
        if (name == "edge") == bool((network or {}).get("internal")):
            found.append(f"network {name}: internal is {bool((network or {}).get('internal'))}")
    for name, service in services.items():
        unknown = set(service["networks"]) - compose["networks"].keys()
        found += [f"{name}: network {network} is not declared" for network in unknown]
        if "edge" in service["networks"] and name not in EDGE:
            found.append(f"{name}: has a way out")
        for key, value in environment(service).items():
            if key == "OFFSITE_KAFKA_BOOTSTRAP":
                hosts = [place.split(":")[0] for place in value.split(",")]
            elif key in {"OFFSITE_STORE_URL", "OFFSITE_DESK_ALERTMANAGER"}:
                hosts = [re.split(r"[/:]", value.partition("://")[2].rpartition("@")[2])[0]]
            else:
                continue
            for host in hosts:
                if host not in services:
                    found.append(f"{name}: {key} names {host}, which is no service")
                elif not set(services[host]["networks"]) & set(service["networks"]):
                    found.append(f"{name}: does not reach {host}")
    return found


def principals(compose):
    """Each process comes to Kafka under its own name, with its own password, by SASL."""
    found = []
    for name, service in compose["services"].items():
        own = environment(service)
        if "OFFSITE_KAFKA_BOOTSTRAP" not in own:
            continue
        wanted = PRINCIPALS.get(name, "admin")
        port, mechanism = ("9092", "SCRAM-SHA-512") if name in PRINCIPALS else ("9093", "PLAIN")
        expected = {
            "OFFSITE_KAFKA_USERNAME": wanted,
            "OFFSITE_KAFKA_PASSWORD_FILE": f"/run/secrets/kafka_{wanted}_password",
            "OFFSITE_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
            "OFFSITE_KAFKA_SASL_MECHANISM": mechanism,
            "OFFSITE_KAFKA_BOOTSTRAP": f"kafka-1:{port}",
        }
        found += [f"{name}: {key} is {own.get(key)}" for key, value in expected.items() if own.get(key) != value]
    return found


CHECKS = (schema, dependencies, variables, commands, ports, paths, secrets, images, hardening, reach, principals)
