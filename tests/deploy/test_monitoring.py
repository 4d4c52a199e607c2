"""Prometheus, Alertmanager and Grafana: their own tools accept the files, and every name in them is one of the code's."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from monitor.archive.figures import Figures as ArchiverFigures
from monitor.desk.figures import Figures as DeskFigures
from monitor.gateway.app import create_gateway
from monitor.gateway.figures import Figures as GatewayFigures
from monitor.settings import GatewayEnvironment
from streams.probes import Probes
from streams.sensor import Sensor
from streams.settings import DEFAULT_PARTITIONS, KafkaSettings
from tests.deploy.compose import OTHER_PORTS, PORTS, ROOT, load
from tests.real_parts import require

DEPLOY = ROOT / "deploy"
REGISTRIES = {
    "gateway": GatewayFigures().registry, "worker": Sensor().registry, "desk": DeskFigures().registry,
    "archiver": ArchiverFigures().registry,
}  # fmt: skip
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
SCRAPED = {"job", "instance"}
NAME = re.compile(r"\b(offsite_[a-z_]+)\b(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)\s*(=~|!=|!~|=)\s*"([^"]*)"')
GROUPING = re.compile(r"\b(?:by|on)\s*\(([^)]*)\)")


def deployed(*path):
    return yaml.safe_load(DEPLOY.joinpath(*path).read_text(encoding="utf-8"))


def known():
    """Name of a series -> the labels that it has."""
    return {
        family.name + suffix: set(collector._labelnames) | ({"le"} if suffix == "_bucket" else set())
        for registry in REGISTRIES.values()
        for collector in registry._collector_to_names
        for family in collector.describe() or collector.collect()
        for suffix in SUFFIXES[family.type]
    }


def unknown_names(expressions):
    """Series, labels and label values that the code does not have."""
    series, found = known(), []
    sources = "".join(
        path.read_text(encoding="utf-8") for path in [*ROOT.glob("monitor/**/*.py"), *ROOT.glob("streams/*.py")]
    )
    for expression in expressions:
        labels = set()
        for name, matchers in NAME.findall(expression):
            if name not in series:
                found.append(name)
                continue
            labels |= series[name]
            for label, _, value in MATCHER.findall(matchers):
                if label not in series[name] | SCRAPED:
                    found.append(f"{name}{{{label}}}")
                found += [f"{name}{{{label}={one}}}" for one in value.split("|") if f'"{one}"' not in sources]
        for group in GROUPING.findall(expression):
            wanted = {label.strip() for label in group.split(",") if label.strip()}
            found += sorted(wanted - labels - SCRAPED)
    return found


def rules():
    return [rule for group in deployed("prometheus", "rules.yml")["groups"] for rule in group["rules"]]


def panels():
    board = json.loads((DEPLOY / "grafana" / "dashboards" / "offsite.json").read_text(encoding="utf-8"))
    return board["panels"]


def tool(*command):
    require(shutil.which(command[0]), command[0])
    return subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)


def test_every_series_of_the_alert_rules_exists():
    assert unknown_names(rule["expr"] for rule in rules()) == []


def test_every_series_of_the_dashboard_exists_and_titles_are_in_two_languages():
    assert unknown_names(target["expr"] for panel in panels() for target in panel["targets"]) == []
    assert 10 <= len(panels()) <= 16
    for panel in panels():
        chinese, _, english = panel["title"].partition("/ ")
        assert re.search(r"[\u4e00-\u9fff]", chinese), panel["title"]
        assert english.isascii()
        assert english
    assert len({panel["id"] for panel in panels()}) == len(panels())


@pytest.mark.parametrize(
    "expression",
    ["offsite_worker_lag_second", "offsite_desk_changes", 'offsite_gateway_posts_total{state="503"}',
     'offsite_gateway_posts_total{status=~"500|505"}', "sum by (kinds) (offsite_worker_records_total)",
     "offsite_gateway_append_seconds"],
)  # fmt: skip
def test_a_series_or_label_that_does_not_exist_is_found(expression):
    assert unknown_names([expression]) != []


def test_every_alert_has_a_severity_a_part_and_texts_in_two_languages():
    for rule in rules():
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["labels"]["part"] in {*PORTS, "{{ $labels.job }}"}
        assert re.search(r"[\u4e00-\u9fff]", rule["annotations"]["summary_zh"]), rule["alert"]
        assert rule["annotations"]["summary_en"].isascii()
        assert rule["annotations"]["action"]


def test_the_rule_on_partitions_counts_as_many_as_the_log_has():
    rule = next(rule for rule in rules() if rule["alert"] == "OffsitePartitionsUnowned")
    assert rule["expr"].endswith(f"< {DEFAULT_PARTITIONS}")
    assert rule["expr"].startswith("sum by (job)")


def test_promtool_accepts_configuration_and_rules_and_finds_a_slip(tmp_path):
    shutil.copytree(DEPLOY / "prometheus", tmp_path / "prometheus")
    done = tool("promtool", "check", "config", tmp_path / "prometheus" / "prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    path = tmp_path / "prometheus" / "rules.yml"
    path.write_text(path.read_text(encoding="utf-8").replace("absent(up", "absnt(up"), encoding="utf-8")
    assert tool("promtool", "check", "config", tmp_path / "prometheus" / "prometheus.yml").returncode != 0


def test_every_alert_fires_when_it_should_and_none_when_all_is_well(tmp_path):
    shutil.copy(DEPLOY / "prometheus" / "rules.yml", tmp_path)
    cases = Path(__file__).with_name("rules_test.yml")
    shutil.copy(cases, tmp_path)
    done = tool("promtool", "test", "rules", tmp_path / "rules_test.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    tested = set(re.findall(r'alertname="(\w+)"', cases.read_text(encoding="utf-8")))
    assert tested == {rule["alert"] for rule in rules()}
    given = set(NAME.findall(cases.read_text(encoding="utf-8")))
    assert {name for name, _ in given} <= known().keys()


def test_a_rule_that_never_fires_and_one_that_fires_for_nothing_are_found(tmp_path):
    # Those of one metric alone: promtool takes seconds for all.
    cases = yaml.safe_load(Path(__file__).with_name("rules_test.yml").read_text(encoding="utf-8"))
    cases["tests"] = [case for case in cases["tests"] if "outbox_waiting" in json.dumps(case)]
    (tmp_path / "rules_test.yml").write_text(json.dumps(cases), encoding="utf-8")
    text = (DEPLOY / "prometheus" / "rules.yml").read_text(encoding="utf-8")
    for old, new in (("offsite_desk_outbox_waiting > 0", "offsite_desk_outbox_waiting > 9"),
                     ("offsite_desk_outbox_waiting > 0", "offsite_desk_outbox_waiting >= 0")):  # fmt: skip
        assert old in text
        for content, fails in ((text, False), (text.replace(old, new), True)):
            (tmp_path / "rules.yml").write_text(content, encoding="utf-8")
            done = tool("promtool", "test", "rules", tmp_path / "rules_test.yml")
            assert (done.returncode != 0) is fails, done.stdout + done.stderr


def test_amtool_accepts_the_routes_and_each_kind_of_alert_finds_its_receiver(tmp_path):
    path = DEPLOY / "alertmanager" / "alertmanager.yml"
    done = tool("amtool", "check-config", path)
    assert done.returncode == 0, done.stdout + done.stderr

    def receiver(*labels):
        return tool("amtool", "config", "routes", "test", f"--config.file={path}", *labels).stdout.strip()

    assert receiver("alertname=cold-chain.store-out", "facility=BJ-MFR-0007", "alarm=x", "subject={}") == "supervisors"
    assert receiver("alertname=OffsiteGatewayClosed", "part=gateway", "severity=critical") == "operators"
    broken = tmp_path / "alertmanager.yml"
    broken.write_text(
        path.read_text(encoding="utf-8").replace("receiver: supervisors", "receiver: nobody"), encoding="utf-8"
    )
    assert tool("amtool", "check-config", broken).returncode != 0


def targets():
    found = {}
    for job in deployed("prometheus", "prometheus.yml")["scrape_configs"]:
        rows = [place for one in job.get("static_configs", []) for place in one["targets"]]
        rows += [f"{name}:{one['port']}" for one in job.get("dns_sd_configs", []) for name in one["names"]]
        found[job["job_name"]] = rows
    return found


def test_every_target_is_a_service_at_its_port_that_prometheus_reaches():
    services = load()["services"]
    for job, rows in targets().items():
        for row in rows:
            host, port = row.split(":")
            name = "prometheus" if host == "127.0.0.1" else host
            assert int(port) == (PORTS | OTHER_PORTS)[name], row
            assert set(services[name]["networks"]) & set(services["prometheus"]["networks"]), row
            assert job == name
    assert set(targets()) == {*PORTS, "prometheus", "alertmanager"}
    (alerting,) = deployed("prometheus", "prometheus.yml")["alerting"]["alertmanagers"]
    assert alerting["static_configs"][0]["targets"] == [f"alertmanager:{OTHER_PORTS['alertmanager']}"]
    assert services["desk"]["environment"]["OFFSITE_DESK_ALERTMANAGER"] == "http://alertmanager:9093"


def test_every_process_serves_metrics_and_health(sqlite_store, tmp_path):
    import httpx

    from tests.monitor.desk.lab import DeskLab

    wanted = {"/metrics", "/healthz", "/readyz"}
    assert wanted <= {route.path for route in create_gateway(GatewayEnvironment(), KafkaSettings()).routes}
    with DeskLab(sqlite_store, tmp_path).client() as desk:
        assert {desk.get(path).status_code for path in wanted} == {200}
    # Worker and archiver answer by the same small server.
    probes = Probes("127.0.0.1", 0, health=lambda: (True, {}), ready=lambda: (True, {}), registry=Sensor().registry,
                    refresh=lambda: None)  # fmt: skip
    probes.start()
    try:
        assert {httpx.get(f"http://127.0.0.1:{probes.port}{path}").status_code for path in wanted} == {200}
    finally:
        probes.stop()


def test_grafana_finds_its_sources_and_its_dashboard():
    services = load()["services"]
    assert services["grafana"]["environment"]["GF_PATHS_PROVISIONING"] == "/deploy/grafana/provisioning"
    sources = deployed("grafana", "provisioning", "datasources", "offsite.yml")["datasources"]
    for source in sources:
        host, port = source["url"].removeprefix("http://").split(":")
        assert int(port) == OTHER_PORTS[host]
        assert set(services[host]["networks"]) & set(services["grafana"]["networks"])
    assert {panel["datasource"]["uid"] for panel in panels()} == {sources[0]["uid"]}
    (provider,) = deployed("grafana", "provisioning", "dashboards", "offsite.yml")["providers"]
    inside = provider["options"]["path"].removeprefix("/deploy/grafana/")
    assert list((DEPLOY / "grafana" / inside).glob("*.json"))
