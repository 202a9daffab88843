"""The units that ship: systemd understands them, finds little to complain of, and they fit what the gateway does."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from proxyd.model.settings import Settings

ROOT = Path(__file__).parents[2]
SUPERVISOR = ROOT / "supervisor"
EXPOSURE = 1.5
PROXYD = Path(sys.executable).parent / "proxyd"

needs_systemd = pytest.mark.skipif(
    not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed (Debian package systemd)"
)


class Unit(dict):
    """The directives of a unit file, each with the list of its values."""

    def __init__(self, name):
        super().__init__()
        for line in (SUPERVISOR / name).read_text().splitlines():
            if (key := line.partition("=")[0]) and re.match(r"[A-Z]\w+=", line):
                self.setdefault(key, []).append(line.partition("=")[2])

    def seconds(self, key):
        (value,) = self[key]
        return float(value)

    @property
    def environment(self):
        return dict(value.split("=", 1) for value in self["Environment"])


@pytest.fixture
def service():
    return Unit("proxyd.service")


def analyze(*arguments, **env):
    return subprocess.run(
        ["systemd-analyze", *arguments],
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def units(tmp_path):
    """Give a directory with the units, and a drop-in that says where this checkout has the command."""
    for kind in ("service", "socket"):
        shutil.copy(SUPERVISOR / f"proxyd.{kind}", tmp_path)
    (tmp_path / "proxyd.service.d").mkdir()
    (tmp_path / "proxyd.service.d/path.conf").write_text(
        f"[Service]\nExecStart=\nExecStart={PROXYD} run\nExecReload=\nExecReload={PROXYD} reload\n"
    )
    return tmp_path


@needs_systemd
def test_the_units_are_without_fault(units):
    """Systemd reads both of them, and warns of nothing."""
    paths = [str(units / f"proxyd.{kind}") for kind in ("service", "socket")]
    done = analyze("verify", "--man=no", *paths, SYSTEMD_UNIT_PATH=f"{units}:")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@needs_systemd
def test_a_fault_would_be_found(units):
    """A directive that does not exist is complained of: the check above can fail."""
    with (units / "proxyd.service").open("a") as file:
        file.write("\n[Service]\nProtectEverything=yes\n")
    done = analyze("verify", "--man=no", str(units / "proxyd.service"), SYSTEMD_UNIT_PATH=f"{units}:")
    assert "ProtectEverything" in done.stderr


@needs_systemd
def test_the_sandbox_leaves_little_open(units):
    """Where systemd counts what a service may do, this one stays below 1.5 of 10."""
    done = analyze("security", "--offline=true", "--no-pager", str(units / "proxyd.service"))
    level = re.search(r"exposure level for proxyd.service: ([\d.]+)", done.stdout)
    assert level, done.stderr
    assert float(level[1]) <= EXPOSURE


def test_requests_are_finished_before_systemd_kills(service):
    """Stopping may take longer than draining does, under the unit's own settings and under the defaults."""
    settings = Settings.model_validate({"shutdown_timeout": service.environment["PROXYD_SHUTDOWN_TIMEOUT"]})
    assert service.seconds("TimeoutStopSec") >= settings.shutdown_timeout + 5


def test_descriptors_suffice_for_the_connections(service):
    """The limit is far above what the default of worker_connections can take: a client and its upstream each."""
    settings = Settings.model_validate({})
    clients = 16384
    comment = re.search(r"worker_connections up to (\d+)", (SUPERVISOR / "proxyd.service").read_text())
    assert int(comment[1]) == clients >= settings.worker_connections
    assert int(service["LimitNOFILE"][0]) >= 2 * clients + settings.upstream_keepalive_pool_size


def test_what_a_restart_cannot_help_is_not_restarted(service):
    """The exit codes that the guide gives to refused configurations and command lines prevent it, and no other."""
    table = re.findall(r"^\| (\d+) \| (.*) \|$", (ROOT / "docs/cli.md").read_text(), re.MULTILINE)
    hopeless = {
        code for code, meaning in table if re.search(r"configuration is refused|command line", meaning)
    }
    (codes,) = service["RestartPreventExitStatus"]
    assert set(codes.split()) == hopeless


def test_the_units_name_conventional_paths_alone():
    """Nothing of one machine is in them."""
    for name in ("proxyd.service", "proxyd.socket"):
        lines = [line for line in (SUPERVISOR / name).read_text().splitlines() if not line.startswith("#")]
        paths = set(re.findall(r"(?<![\w:/])/[\w./-]+", "\n".join(lines)))
        assert {path for path in paths if not path.startswith(("/etc/proxyd/", "/run/proxyd/"))} == set()


def test_variables_of_the_service_are_settings(service):
    """Each PROXYD_ variable that it sets is one that the gateway knows."""
    names = {name.removeprefix("PROXYD_").lower() for name in service.environment}
    assert names <= set(Settings.model_fields)
