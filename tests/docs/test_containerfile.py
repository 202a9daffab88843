"""The Containerfile: a linter finds nothing, and what it says fits the gateway and the manifests."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "Containerfile").read_text()
HADOLINT = Path(sys.executable).parent / "hadolint"


def instructions():
    """Return each instruction with its argument, lines joined."""
    lines = [line for line in TEXT.splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [tuple(line.split(" ", 1)) for line in joined.splitlines() if line]


def last(name):
    return [argument for instruction, argument in instructions() if instruction == name][-1]


@pytest.mark.skipif(
    not HADOLINT.exists(), reason="hadolint is not installed (the extra test has it for x86-64)"
)
def test_the_linter_finds_nothing():
    """And it does find what is wrong: a second CMD, for one."""
    assert lint(TEXT) == []
    assert "DL4003" in {finding["code"] for finding in lint(f"{TEXT}\nCMD run\n")}


def lint(text):
    done = subprocess.run(
        [HADOLINT, "--format", "json", "-"], input=text, capture_output=True, text=True, check=False
    )
    return json.loads(done.stdout)


def test_it_runs_as_nobody_in_particular():
    """The user is a number, so that Kubernetes can tell that it is not root, and the one of the Deployment."""
    user, _, group = last("USER").partition(":")
    (deployment,) = yaml.safe_load_all((ROOT / "supervisor/kubernetes/deployment.yaml").read_text())
    pod = deployment["spec"]["template"]["spec"]
    assert (int(user), int(group)) == (
        pod["securityContext"]["runAsUser"],
        pod["securityContext"]["runAsGroup"],
    )
    ports = {str(port["containerPort"]) for port in pod["containers"][0]["ports"]}
    assert set(last("EXPOSE").split()) == ports


def test_signals_reach_the_gateway():
    """The command is a list: no shell becomes process 1, and the signal is one that drains."""
    assert json.loads(last("ENTRYPOINT")) == ["proxyd"]
    assert json.loads(last("CMD")) == ["run"]
    assert last("STOPSIGNAL") == "SIGTERM"


def test_the_image_holds_what_was_built_and_no_more():
    """The second stage takes one directory of the first, and the context leaves out all but what is copied."""
    stages = [index for index, (name, _) in enumerate(instructions()) if name == "FROM"]
    copied = [argument for name, argument in instructions()[stages[1] :] if name == "COPY"]
    assert copied == ["--from=build /opt/proxyd /opt/proxyd"]
    sources = {
        word for name, argument in instructions()[: stages[1]] if name == "COPY" for word in argument.split()
    }
    ignored = (ROOT / ".containerignore").read_text().splitlines()
    assert {line[1:] for line in ignored if line.startswith("!")} == sources - {"./"}
    assert "*" in ignored
    assert all((ROOT / source).exists() for source in sources)


def test_its_python_is_one_that_is_supported():
    """The version that is taken without being asked for stands among those of pyproject.toml."""
    version = re.search(r"^ARG VERSION=(.*)$", TEXT, re.MULTILINE)[1]
    assert f"Python :: {version}" in (ROOT / "pyproject.toml").read_text()
