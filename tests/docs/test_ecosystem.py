"""The ecosystem file and its environments: they are complete, and fit the gateway and one another."""

from __future__ import annotations

import configparser
import os
import re
import subprocess
from pathlib import Path

import pytest

from proxyd.cli.parser import build_parser
from proxyd.model.settings import Settings

ROOT = Path(__file__).parents[2]
SUPERVISOR = ROOT / "supervisor"
ENVIRONMENTS = ("production", "development")
KINDS = ("ecosystem", "workers")
CONVENTIONAL = ("/etc/proxyd/", "/run/proxyd", "/var/log/proxyd")
STOPPING = 3  # seconds that an end takes besides draining: close frames, the status listener, logs


def variables(name):
    lines = (SUPERVISOR / f"{name}.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


@pytest.fixture(params=KINDS)
def sections(request):
    parser = configparser.RawConfigParser(inline_comment_prefixes=None, comment_prefixes=(";",))
    parser.read(SUPERVISOR / f"{request.param}.conf")
    return parser


@pytest.fixture
def program(sections):
    return next(sections[name] for name in sections.sections() if name.endswith("program:proxyd"))


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_an_environment_is_complete(name):
    """It has each variable that the ecosystem file takes, and each of the gateway's is one of its settings."""
    text = "".join((SUPERVISOR / f"{kind}.conf").read_text() for kind in KINDS)
    taken = set(re.findall(r"%\(ENV_(\w+)\)", text))
    given = variables(name)
    assert taken - given.keys() == set()
    own = {key.removeprefix("PROXYD_").lower() for key in given if key.startswith("PROXYD_")}
    assert own - set(Settings.model_fields) == set()


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_requests_are_finished_before_supervisord_kills(name):
    """Stopping may take as long as draining and what an end takes besides."""
    given = variables(name)
    settings = Settings.model_validate({"shutdown_timeout": given["PROXYD_SHUTDOWN_TIMEOUT"]})
    assert int(given["STOP_SECONDS"]) >= settings.shutdown_timeout + STOPPING


def test_supervisord_stops_by_the_signal_that_this_is_about(program):
    """Which is SIGTERM, and no instance is stopped but by it."""
    assert program["stopsignal"] == "TERM"
    assert program["stopwaitsecs"] == "%(ENV_STOP_SECONDS)s"
    assert program["autorestart"] == "true"


def test_descriptors_suffice_for_the_connections(sections):
    """A client and its upstream are two, and those kept for later come on top."""
    settings = Settings.model_validate({})
    clients = int(
        re.search(r"worker_connections up to (\d+)", (SUPERVISOR / "ecosystem.conf").read_text())[1]
    )
    assert clients >= settings.worker_connections
    assert int(sections["supervisord"]["minfds"]) >= 2 * clients + settings.upstream_keepalive_pool_size


def test_the_command_is_one_that_the_gateway_understands(program):
    """Every word of it."""
    command = program["command"].replace("%(ENV_WORKERS)s", "auto").split()
    assert command[0] == "proxyd"
    assert build_parser().parse_args(command[1:]).verb == "run"


def test_production_names_conventional_paths_alone():
    """Nothing of one machine is in it, and development stays below its directory."""
    paths = [value for value in variables("production").values() if value.startswith("/")]
    assert paths
    assert [path for path in paths if not path.startswith(CONVENTIONAL)] == []
    assert [value for value in variables("development").values() if value.startswith("/")] == []
    for kind in KINDS:
        assert re.findall(r"(?<![\w)./:])/\w[\w/.]*", (SUPERVISOR / f"{kind}.conf").read_text()) == []


@pytest.mark.parametrize("arguments", [(), ("production",), ("staging", "start")])
def test_the_command_says_how_it_is_used(arguments):
    """Without a verb, or with an environment that has no file."""
    done = subprocess.run(
        [SUPERVISOR / "ecosystem", *arguments],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("Usage: supervisor/ecosystem ENVIRONMENT VERB")
    assert "reload" in done.stderr


@pytest.mark.parametrize(("target", "verb"), [("supervise", "start"), ("reload", "reload")])
def test_make_runs_the_environment_that_it_is_told(target, verb):
    """Development where nothing is said."""
    for arguments, name in (((), "development"), (("ENVIRONMENT=production",), "production")):
        done = subprocess.run(
            ["make", "--dry-run", target, *arguments], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert f"supervisor/ecosystem {name} {verb}" in done.stdout
