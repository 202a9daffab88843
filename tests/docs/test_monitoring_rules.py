"""The shipped rules: promtool takes them, each alert is tried both ways and says what to do, each metric exists."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
import yaml
from monitoring_case import GUIDE, ROOT, RULES, alerts, rules, unknown

PROMTOOL = shutil.which("promtool")
TESTS = sorted((ROOT / "config/rules/tests").glob("*.yml"))
GUIDE_URL = "https://github.com/proxyd/proxyd/blob/main/docs/monitoring.md#"


def promtool(*arguments):
    if PROMTOOL is None:
        pytest.skip("promtool (Debian package prometheus) is not installed")
    return subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, check=False, timeout=100)


def test_promtool_takes_the_configuration():
    """config/prometheus.yml and the rules that it names are valid, and it names all of them."""
    result = promtool("check", "config", "--lint=all", "--lint-fatal", str(ROOT / "config/prometheus.yml"))
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"{len(RULES)} rule files found" in result.stdout


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.name)
def test_alerts_fire_when_they_should_and_not_otherwise(path):
    """The cases of config/rules/tests hold."""
    result = promtool("test", "rules", str(path))
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_alert_is_tried_both_ways():
    """Each alert has a moment at which a case has it fire, and one at which it must not."""
    fires, silent = set(), set()
    for path in TESTS:
        for case in yaml.safe_load(path.read_text())["tests"]:
            for check in case["promql_expr_test"]:
                for pattern in re.findall(r'alertname=~?"([^"]+)"', check["expr"]):
                    names = {rule["alert"] for rule in alerts() if re.fullmatch(pattern, rule["alert"])}
                    assert names, pattern
                    (fires if check["exp_samples"] else silent).update(names)
    everyone = {rule["alert"] for rule in alerts()}
    assert (everyone - fires, everyone - silent) == (set(), set())


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_an_alert_says_what_to_do(rule):
    """Its severity is one of two, its link leads to a section of the guide that names it."""
    assert rule["labels"]["severity"] in {"page", "ticket"}
    notes = rule["annotations"]
    assert notes["summary"]
    assert len(notes["description"]) > 40
    assert notes["runbook_url"].startswith(GUIDE_URL)
    anchor = notes["runbook_url"].removeprefix(GUIDE_URL)
    sections = {
        re.sub(r"[^\w -]", "", title).lower().replace(" ", "-"): text
        for title, text in re.findall(r"^###? (.+)\n((?:(?!^##).*\n)*)", GUIDE, re.MULTILINE)
    }
    assert f"`{rule['alert']}`" in sections[anchor]


def test_rules_read_metrics_that_exist():
    """Each metric that a rule reads is in the guide, or recorded by another rule."""
    assert {name for rule in rules() for name in unknown(rule["expr"])} == set()


def test_a_recorded_name_says_what_it_is():
    """Recorded series are named by level, metric and operation, with colons."""
    names = {rule["record"] for rule in rules() if "record" in rule}
    assert names
    assert [name for name in names if not re.fullmatch(r"proxyd:\w+:(ratio|rate)\w*", name)] == []


def test_the_objectives_of_the_guide_are_those_of_the_rules():
    """The table of service levels says what the first group of rules says."""
    told = dict(re.findall(r"^\| ([a-z][\w-]+) \|.*\| ([\d.]+) % \|$", GUIDE, re.MULTILINE))
    budgets = {
        rule["labels"]["slo"]: float(rule["expr"].removeprefix("vector(").rstrip(")"))
        for rule in rules()
        if rule.get("record") == "proxyd:slo_error_budget:ratio"
    }
    assert {name: round(100 - 100 * share, 6) for name, share in budgets.items()} == {
        name: float(objective) for name, objective in told.items()
    }
