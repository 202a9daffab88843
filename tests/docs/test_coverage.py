"""What exists is written about, and what is required is pinned."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

from proxyd.model.settings import Settings
from proxyd.plugins import PLUGINS

ROOT = Path(__file__).parents[2]
DOCS = "".join(path.read_text() for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))])

DOCSTRING = re.compile(r'""".*?"""', re.DOTALL)
THEIRS = {
    "yarl",
    "multidict",
    "pydantic-core",
}  # the types that aiohttp's and pydantic's interfaces are made of
# Imported only where a configuration asks for it.
OF_EXTRAS = {
    "health/kinds/mongodb.py",
    "health/kinds/postgres.py",
    "health/kinds/redis.py",
    "store/redis.py",
    "store/redis_client.py",
    "telemetry/otlp.py",
    "telemetry/s3_bucket.py",
} | {str(path.relative_to(ROOT / "proxyd")) for path in (ROOT / "proxyd/database").rglob("*.py")}


def test_every_plugin_is_documented():
    """Each plugin's name stands somewhere in the documentation."""
    assert [plugin.name for plugin in PLUGINS if f"`{plugin.name}`" not in DOCS] == []


def test_every_setting_is_documented():
    """Each setting's name stands in the guide to configuration."""
    guide = (ROOT / "docs/configuration.md").read_text()
    assert [name for name in Settings.model_fields if f"`{name}`" not in guide] == []


def test_every_requirement_is_pinned():
    """A fresh install next year is this install: constraints.txt names each requirement, with one version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    pinned = {normal(line.split("==")[0]) for line in lines}
    assert [line for line in lines if "==" not in line or "://" in line] == []
    assert {normal(re.match(r"[\w.-]+", each)[0]) for group in groups for each in group} - pinned - {
        "proxyd"
    } == set()


def test_every_import_is_required():
    """An installation without extras has everything that proxyd imports, but for modules that one extra is for."""
    requirements = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    declared = {normal(re.match(r"[\w.-]+", each)[0]) for each in requirements} | {"proxyd"} | THEIRS
    distributions = packages_distributions()
    imported = set()
    for path in set((ROOT / "proxyd").rglob("*.py")) - {ROOT / "proxyd" / name for name in OF_EXTRAS}:
        imported |= set(
            re.findall(r"^\s*(?:import|from) (\w+)", DOCSTRING.sub("", path.read_text()), re.MULTILINE)
        )
    used = {normal(name) for module in imported for name in distributions.get(module, [])}
    assert used - declared == set()


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()
