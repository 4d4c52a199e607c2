"""docker-compose.yml against the compose schema and against the code; each check is also seen to fail."""

from __future__ import annotations

import copy
import re
import subprocess

import pytest
import yaml

from monitor.gateway.bodies import MAX_BODY_BYTES
from monitor.serving import server
from monitor.settings import ProofsEnvironment
from streams.settings import DEFAULT_PARTITIONS
from streams.topics import BATCH_OVERHEAD, RECORD_BYTES, TOPICS
from streams.worker_settings import WorkerSettings
from tests.deploy import compose as checks
from tests.deploy.compose import CHECKS, ONE_SHOT, OTHER_PORTS, PORTS, ROOT, environment, load

COMPOSE = load()
SERVICES = {
    "kafka-1", "kafka-2", "kafka-3", "grant", "topics", "gateway", "worker", "lots", "desk", "archiver", "packs", "upkeep", "postgres",
    "proxy", "prometheus", "alertmanager", "grafana",
}  # fmt: skip


def three_brokers():
    lines = (ROOT / "deploy" / "three-brokers.env").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_compose_file_holds(check):
    assert check(COMPOSE) == []


def put(*path):
    *way, last, value = path

    def change(compose):
        place = compose["services"]
        for part in way:
            place = place[part]
        place[last] = value

    return change


BROKEN = {
    "a key that Compose does not know": (checks.schema, put("desk", "imagee", "x")),
    "a dependency that is no service": (checks.dependencies, put("desk", "depends_on", {"postgre": {"condition": "service_healthy"}})),
    "health of what has no check": (checks.dependencies, put("desk", "depends_on", "grant", {"condition": "service_healthy"})),
    "an end that never comes": (checks.dependencies, put("topics", "depends_on", "postgres", {"condition": "service_completed_successfully"})),
    "a broker of the profile is needed": (checks.dependencies, put("grant", "depends_on", "kafka-2", {"condition": "service_healthy"})),
    "a setting with a slip": (checks.variables, put("desk", "environment", "OFFSITE_DESK_HTTP", "true")),
    "a prefix with a slip": (checks.variables, put("desk", "environment", "OFFSITE_DEKS_HOST", "0.0.0.0")),
    "a value that is not taken": (checks.variables, put("desk", "environment", "OFFSITE_DESK_HTTPS", "perhaps")),
    "a mechanism that is not taken": (checks.variables, put("desk", "environment", "OFFSITE_KAFKA_SASL_MECHANISM", "SCRAM")),
    "a variable without default": (checks.variables, put("desk", "environment", "OFFSITE_DESK_PUBLIC_URL", "${NAME}")),
    "a command that is none": (checks.commands, put("worker", "command", ["work"])),
    "a sub-command that is none": (checks.commands, put("topics", "command", ["topics", "creat"])),
    "an option that is none": (checks.commands, put("worker", "command", ["worker", "--hots=0.0.0.0"])),
    "health at another port": (checks.ports, put("worker", "healthcheck", "test", ["CMD", "x", "http://127.0.0.1:8713/healthz"])),
    "another port by setting": (checks.ports, put("desk", "environment", "OFFSITE_DESK_PORT", "9000")),
    "loopback in a container": (checks.ports, put("worker", "environment", "OFFSITE_WORKER_HOST", "127.0.0.1")),
    "a published database": (checks.ports, put("postgres", "ports", ["127.0.0.1:5432:5432"])),
    "a gateway for the world": (checks.ports, put("gateway", "ports", ["0.0.0.0:8710:8710"])),
    "a mount that is not there": (checks.paths, put("proxy", "volumes", ["./deploy/prxy:/deploy/proxy:ro"])),
    "a mount that can be written": (checks.paths, put("proxy", "volumes", ["./deploy/proxy:/deploy/proxy"])),
    "a volume that is not declared": (checks.paths, put("desk", "volumes", ["archives:/var/lib/offsite/archive:ro"])),
    "a file that is not in the mount": (checks.paths, put("prometheus", "command", ["--config.file=/deploy/prometheus/p.yml"])),
    "a file of no mount": (checks.paths, put("grant", "volumes", [])),
    "a secret too many": (checks.secrets, put("worker", "secrets", ["kafka_worker_password", "store_password"])),
    "a secret that is not given": (checks.secrets, put("desk", "secrets", ["kafka_desk_password"])),
    "a password in the open": (checks.secrets, put("grafana", "environment", "GF_SECURITY_ADMIN_PASSWORD", "x")),
    "a password of another file": (checks.secrets, put("desk", "environment", "OFFSITE_STORE_PASSWORD_FILE", "/etc/password")),
    "the newest, whatever it is": (checks.images, put("grafana", "image", "grafana/grafana:latest")),
    "no tag": (checks.images, put("grafana", "image", "grafana/grafana")),
    "another Kafka": (checks.images, put("kafka-1", "image", "apache/kafka:4.1.0")),
    "root": (checks.hardening, put("desk", "user", "0:0")),
    "root by name": (checks.hardening, put("desk", "user", "root")),
    "files that can be written": (checks.hardening, put("desk", "read_only", False)),
    "capabilities": (checks.hardening, put("proxy", "cap_add", ["NET_ADMIN"])),
    "privileges": (checks.hardening, put("desk", "security_opt", [])),
    "logs without end": (checks.hardening, put("desk", "logging", {"driver": "json-file"})),
    "no limits": (checks.hardening, put("desk", "deploy", {})),
    "the host's network": (checks.hardening, put("desk", "network_mode", "host")),
    "memory files without end": (checks.hardening, put("desk", "tmpfs", ["/run/own"])),
    "no restart": (checks.hardening, put("desk", "restart", "no")),
    "the desk on the edge": (checks.reach, put("desk", "networks", ["edge", "store", "kafka", "watch"])),
    "no way to the store": (checks.reach, put("archiver", "networks", ["kafka", "watch"])),
    "a store that is no service": (checks.reach, put("desk", "environment", "OFFSITE_STORE_URL", "postgresql://offsite@db/offsite")),
    "another's principal": (checks.principals, put("gateway", "environment", "OFFSITE_KAFKA_USERNAME", "worker")),
    "a tool under a process's principal": (checks.principals, put("packs", "environment", "OFFSITE_KAFKA_USERNAME", "desk")),
    "no SASL": (checks.principals, put("gateway", "environment", "OFFSITE_KAFKA_SECURITY_PROTOCOL", "PLAINTEXT")),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_found(name):
    check, change = BROKEN[name]
    broken = copy.deepcopy(COMPOSE)
    change(broken)
    assert check(broken) != []


def test_every_part_is_there_and_every_check_has_been_seen_to_fail():
    assert set(COMPOSE["services"]) == SERVICES
    assert {check for check, _ in BROKEN.values()} == set(CHECKS)


def test_the_settings_documented_as_defaults_are_those_of_the_code():
    for name in PORTS:
        own = environment(COMPOSE["services"][name])
        assert own["OFFSITE_KAFKA_PARTITIONS"] == str(DEFAULT_PARTITIONS)


def test_what_the_desk_only_reads_can_be_put_back_by_the_service_for_upkeep():
    desk, upkeep = (COMPOSE["services"][name] for name in ("desk", "upkeep"))
    assert {f"{row}:ro" for row in upkeep["volumes"]} == set(desk["volumes"])
    for folder in ("OFFSITE_ARCHIVER_FOLDER", "OFFSITE_PROOFS_FOLDER", "OFFSITE_STORE_URL"):
        assert environment(upkeep)[folder] == environment(desk)[folder]
    assert upkeep["user"] == COMPOSE["services"]["gateway"]["user"] == COMPOSE["services"]["archiver"]["user"]
    assert upkeep["profiles"] == ["tools"]
    assert "topics" not in upkeep["depends_on"], "Kafka may be what was lost"


def test_three_brokers_need_only_their_file():
    given = three_brokers()
    assert given.pop("COMPOSE_PROFILES") == "three-brokers"
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    assert all(f"${{{name}:-" in text for name in given)
    assert checks.variables(COMPOSE, given) == []
    nodes = [name for name in COMPOSE["services"] if name.startswith("kafka-")]
    assert [COMPOSE["services"][name].get("profiles") for name in nodes] == [None, ["three-brokers"], ["three-brokers"]]
    own = [environment(COMPOSE["services"][name], given) for name in nodes]
    assert [(e["KAFKA_NODE"], e["KAFKA_HOST"], e["KAFKA_REPLICATION"]) for e in own] == [
        ("1", "kafka-1", "3"), ("2", "kafka-2", "3"), ("3", "kafka-3", "3"),
    ]  # fmt: skip
    voters = ",".join(f"{e['KAFKA_NODE']}@{e['KAFKA_HOST']}:9094" for e in own)
    assert {e["KAFKA_VOTERS"] for e in own} == {voters}
    assert given["OFFSITE_KAFKA_BOOTSTRAP"] == ",".join(f"{name}:9092" for name in nodes)


def test_the_broker_takes_what_the_topics_promise():
    lines = (ROOT / "deploy" / "kafka" / "server.properties").read_text(encoding="utf-8").splitlines()
    found = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    limit = RECORD_BYTES + BATCH_OVERHEAD
    assert {found["message.max.bytes"], found["replica.fetch.max.bytes"]} == {str(limit)}
    assert found["socket.request.max.bytes"] == str(4 * limit)
    assert found["auto.create.topics.enable"] == found["allow.everyone.if.no.acl.found"] == "false"
    text = (ROOT / "deploy" / "kafka" / "start.sh").read_text(encoding="utf-8")
    for name in environment(COMPOSE["services"]["kafka-1"]):
        assert f"${{{name}:-" in text, name


def test_the_access_rules_name_what_the_code_has():
    text = (ROOT / "deploy" / "kafka" / "acls.yaml").read_text(encoding="utf-8")
    rules = yaml.safe_load(text)
    assert set(rules["principals"]) == set(checks.PRINCIPALS.values())
    assert set(rules["everyone"][0]["topic"]) == {topic.name for topic in TOPICS}
    every = [rule for own in rules["principals"].values() for rule in own]
    assert {name for rule in every for name in rule.get("topic", [])} <= {topic.name for topic in TOPICS}
    assert [name for rule in every for name in rule.get("group", [])] == [
        WorkerSettings().group, WorkerSettings(fold="lots").group_id,
    ]  # fmt: skip


def servers():
    text = (ROOT / "deploy" / "proxy" / "nginx.conf").read_text(encoding="utf-8")
    return text, re.split(r"\n    server \{", text)[1:]


def test_the_proxy_passes_to_services_that_listen_there_and_keeps_figures_inside():
    text, blocks = servers()
    everything = PORTS | OTHER_PORTS
    targets = {name: int(port) for name, port in re.findall(r"set \$\w+ (\w+):(\d+);", text)}
    assert targets == {name: everything[name] for name in ("desk", "gateway", "grafana")}
    for name in targets:
        assert set(COMPOSE["services"][name]["networks"]) & set(COMPOSE["services"]["proxy"]["networks"])
    public = [block for block in blocks if " ssl;" in block]
    listening = sorted(re.findall(r"listen (\d+) ssl;", text))
    published = sorted(row.rpartition(":")[2] for row in COMPOSE["services"]["proxy"]["ports"])
    assert listening == published == ["8443", "8444", "8445"]
    for block in public:
        assert re.search(r"location ~ \^/\(?[a-z|]*metrics\)?\$ \{\s+return 404;", block), block[:80]
    assert int(re.search(r"client_max_body_size (\d+)m", blocks[1])[1]) * 1024 * 1024 > MAX_BODY_BYTES
    sizes = [int(size) * 1024 * 1024 for size in re.findall(r"client_max_body_size (\d+)m", blocks[1])]
    assert sizes[1] > ProofsEnvironment.model_fields["max_bytes"].default
    assert "location = /v1/proofs" in blocks[1]


def test_the_proxy_says_who_the_client_is_and_takes_nobodys_word_for_it():
    text, _ = servers()
    for name in ("Host $http_host", "X-Forwarded-For $remote_addr", "X-Forwarded-Proto https"):
        assert text.count(f"proxy_set_header {name};") == 2, (
            name
        )  # once for all, once where Grafana's headers replace them
    assert "$proxy_add_x_forwarded_for" not in text
    own = environment(COMPOSE["services"]["desk"])
    subnet = checks.filled(COMPOSE["networks"]["front"]["ipam"]["config"][0]["subnet"])
    assert own["FORWARDED_ALLOW_IPS"] == subnet
    given = {"OFFSITE_NAME": "monitor.example"}
    own = environment(COMPOSE["services"]["desk"], given)
    assert set(own["OFFSITE_DESK_HOSTS"].split(",")) == {"127.0.0.1", "desk", "monitor.example"}
    assert own["OFFSITE_DESK_PUBLIC_URL"] == "https://monitor.example:8443"


@pytest.mark.parametrize(("peer", "seen"), [("172.31.87.5", "9.9.9.9"), ("172.31.88.5", "172.31.88.5")])
async def test_the_desk_takes_a_clients_address_from_the_proxys_network_only(monkeypatch, peer, seen):
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", environment(COMPOSE["services"]["desk"])["FORWARDED_ALLOW_IPS"])
    clients = []

    async def app(scope, _receive, _send):
        clients.append(scope["client"][0])

    config = server(app).config
    config.load()
    scope = {"type": "http", "scheme": "http", "client": (peer, 1), "headers": [(b"x-forwarded-for", b"9.9.9.9")],
             "asgi": {"version": "3.0"}, "server": ("desk", 8712), "path": "/", "method": "GET"}  # fmt: skip
    await config.loaded_app(scope, None, None)
    assert clients == [seen]


def test_the_secrets_that_are_declared_are_those_that_the_script_makes(tmp_path):
    folder = tmp_path / "secrets"
    subprocess.run([ROOT / "deploy" / "make-secrets.sh"], env={"OFFSITE_SECRETS": str(folder), "PATH": "/usr/bin:/bin"},
                   check=True, capture_output=True)  # fmt: skip
    assert {path.name for path in folder.iterdir()} == set(COMPOSE["secrets"])
    ignored = subprocess.run(["git", "check-ignore", "-q", "deploy/secrets/tls_key"], cwd=ROOT, check=False)
    assert ignored.returncode == 0
    assert {"grant", "topics", "packs", "upkeep"} == ONE_SHOT
