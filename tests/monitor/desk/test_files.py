"""Static files: types, how long they are kept, nothing beside them; what is vendored is what it says."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from monitor.console.files import STATIC
from monitor.console.render import TEMPLATES
from tests.monitor.desk.lab import DeskLab

VENDOR = STATIC / "vendor"
FILES = sorted(str(path.relative_to(STATIC)) for path in STATIC.rglob("*") if path.is_file())
SOURCES = {name: TEMPLATES.loader.get_source(TEMPLATES, name)[0] for name in TEMPLATES.list_templates(["html"])}
KINDS = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".LICENSE": "text/plain",
    ".md": "text/plain",
}


@pytest.fixture
def lab(sqlite_store, tmp_path):
    return DeskLab(sqlite_store, tmp_path / "archive")


def vendored():
    lines = (VENDOR / "README.md").read_text(encoding="utf-8").splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")][2:]


def test_every_file_has_its_type_and_is_kept_as_long_as_its_name_promises(lab):
    with lab.client() as client:
        for name in FILES:
            answer = client.get(f"/static/{name}")
            assert answer.status_code == 200
            assert answer.headers["content-type"].partition(";")[0] == KINDS[Path(name).suffix]
            wanted = "public, max-age=31536000, immutable" if name.startswith("vendor/") else "no-cache"
            assert answer.headers["cache-control"] == wanted
            again = client.get(f"/static/{name}", headers={"If-None-Match": answer.headers["etag"]})
            assert (again.status_code, again.headers["cache-control"]) == (304, wanted)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "vendor",
        "vendor/",
        "../pages.py",
        "%2e%2e/pages.py",
        "..%2fpages.py",
        "....//pages.py",
        "/etc/passwd",
        "vendor/../../texts.py",
        "desk.css%00",
        "desk.py",
    ],
)
def test_nothing_beside_the_files_is_served(lab, path):
    with lab.client() as client:
        answer = client.get(f"/static/{path}")
    assert answer.status_code in {404, 307}
    assert "import" not in answer.text


def test_whatever_is_vendored_is_listed_with_package_version_licence_and_hash():
    rows = vendored()
    assert sorted(row[0] for row in rows) == sorted(p.name for p in VENDOR.iterdir() if p.name != "README.md")
    for name, package, version, inside, licence, sha256 in rows:
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == sha256, name
        assert version in name or name.endswith(".LICENSE")
        assert re.fullmatch(r"[a-z.]+", package)
        assert inside
        assert re.match(r"(?:0BSD|MIT)", licence)
        for named in re.findall(r"\((\S+)\)", licence):
            assert (VENDOR / named).is_file()


def test_the_list_names_no_address():
    assert not re.search(r"https?:|www\.|registry", (VENDOR / "README.md").read_text(encoding="utf-8"))


def test_pages_load_only_files_that_are_there_and_every_vendored_one():
    loaded = set(re.findall(r'(?:src|href)="/static/([^"]+)"', "".join(SOURCES.values())))
    assert loaded <= set(FILES)
    assert {f"vendor/{row[0]}" for row in vendored() if not row[0].endswith("LICENSE")} <= loaded
    assert {"desk.js", "desk.css", "chart.js", "favicon.svg"} <= loaded


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_no_template_holds_script_or_style_inline_or_switches_escaping_off(name):
    source = SOURCES[name]
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:|hx-on|js:|hx-vals", source)
    assert all(re.search(r'src="/static/', tag) for tag in re.findall(r"<script[^>]*>", source))
    assert not re.search(r"\|\s*safe|autoescape|Markup", source)
    assert not re.search(r"https?://", source)
    assert TEMPLATES.autoescape is True


@pytest.mark.parametrize("name", ["desk.js", "chart.js"])
def test_our_scripts_make_no_markup_and_run_no_text(name):
    source = (STATIC / name).read_text(encoding="utf-8")
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|https?://", source
    )


def test_our_styles_load_nothing():
    assert not re.search(r"url\(|@import", (STATIC / "desk.css").read_text(encoding="utf-8"))
