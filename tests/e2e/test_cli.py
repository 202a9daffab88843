"""The verbs that look and end: their output, their exit codes, and what they never print."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys

import pytest
from e2e_command import PROXYD, ROOT, environment, proxyd
from e2e_gateway import config_for
from e2e_wire import OK

from proxyd import __version__

ENV = {"BACKEND_ADDRESS": "127.0.0.1:3000", "MOBILE_API_KEY": "hunter2-is-the-key"}
VERBS = ("run", "check", "routes", "explain", "schema", "demo", "version")
ESCAPE = "\x1b["

BAD = """\
_format_version: "3.0"
services:
  - name: backend
    url: http://localhost:3000
    routes:
      - name: one
        paths: [/a, b]
        strip_pth: true
consumers:
  - username: app
    keyauth_credentials:
      - key: hunter2-is-the-key
        kee: hunter2-is-the-key
"""


@pytest.fixture
def bad(tmp_path):
    path = tmp_path / "bad.yml"
    path.write_text(BAD)
    return path


# --- the command line itself


def test_help_lists_every_verb_with_examples():
    """``--help`` names each verb and shows how the usual ones are used."""
    result = proxyd("--help")
    assert result.returncode == 0
    assert all(re.search(rf"^    {verb} ", result.stdout, re.MULTILINE) for verb in VERBS)
    assert "examples:\n  proxyd run" in result.stdout


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_has_help_with_an_example(verb):
    """``proxyd VERB --help`` explains its options and gives a line to copy."""
    result = proxyd(verb, "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert re.search(rf"example:\n  .*proxyd {verb}", result.stdout)


@pytest.mark.parametrize(
    "arguments", [(), ("start",), ("run", "--prot", "80"), ("explain", "GET"), ("check", "one", "two")]
)
def test_a_wrong_command_line_is_a_2(arguments):
    """What is not understood brings the usage on standard error and exit code 2."""
    result = proxyd(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("usage: proxyd")


def test_version_is_the_packages():
    """``version`` and ``--version`` agree with the package."""
    assert proxyd("version").stdout == proxyd("--version").stdout == f"proxyd {__version__}\n"


def test_the_module_is_the_command():
    """``python -m proxyd`` does the same."""
    result = subprocess.run(
        [sys.executable, "-m", "proxyd", "version"],
        capture_output=True,
        check=False,
        text=True,
        env=environment(),
    )
    assert result.stdout == f"proxyd {__version__}\n"
    assert "usage: proxyd" in proxyd("--help").stdout


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path):
    """Output into ``head -1`` ends without a complaint."""
    routes = [{"name": f"route-{number}", "paths": [f"/{number}"]} for number in range(5000)]
    config = config_for(3000)
    config["services"][0]["routes"] = routes
    (tmp_path / "many.json").write_text(json.dumps(config))
    script = f"{PROXYD} routes --config {tmp_path}/many.json | head -1; exit ${{PIPESTATUS[0]}}"
    result = subprocess.run(
        ["bash", "-c", script], capture_output=True, check=False, text=True, env=environment()
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("#")


# --- check


def test_check_counts_what_is_in_a_good_file():
    """One line on standard output, and exit code 0."""
    result = proxyd("check", env=ENV)
    assert (result.returncode, result.stderr) == (0, "")
    assert re.fullmatch(
        r"config/proxyd.yml: ok: 3 services, 6 routes, .*1 keyauth credential\n", result.stdout
    )


def test_check_tells_every_error_with_its_place(bad):
    """Each error has file, line, column and path, and what would be right; nothing goes to standard output."""
    result = proxyd("check", "--config", str(bad))
    assert (result.returncode, result.stdout) == (1, "")
    lines = result.stderr.splitlines()
    assert [
        re.match(rf"{re.escape(str(bad))}:(\d+:\d+): (\S+): error: ", line).groups() for line in lines
    ] == [
        ("7:21", "services[0].routes[0].paths[1]"),
        ("8:9", "services[0].routes[0].strip_pth"),
        ("13:9", "consumers[0].keyauth_credentials[0].kee"),
    ]
    assert "'strip_path'" in lines[1]


def test_check_tells_warnings_without_failing(tmp_path):
    """A warning has its place too, and the exit code stays 0."""
    path = tmp_path / "kong.yml"
    path.write_text('_format_version: "3.0"\n_info: {}\n')
    result = proxyd("check", "--config", str(path))
    assert (result.returncode, result.stdout) == (0, f"{path}: ok: no entities\n")
    assert re.match(rf"{path}:2:\d+: _info: warning: ", result.stderr)


def test_check_tells_of_a_certificate_at_its_end(tmp_path):
    """It would be shown all the same, so the exit code stays 0."""
    made = proxyd("dev-cert", "--directory", str(tmp_path / "tls"), "--days", "3")
    assert made.returncode == 0
    path = tmp_path / "kong.yml"
    path.write_text(
        f'_format_version: "3.0"\ncertificates:\n  - cert: {tmp_path}/tls/cert.pem\n    key: {tmp_path}/tls/cert.key\n'
    )
    result = proxyd("check", "--config", str(path))
    assert (result.returncode, result.stdout) == (0, f"{path}: ok: 1 certificate\n")
    assert re.match(
        rf"{path}:3:5: certificates\[.*\]: warning: the certificate of localhost expires on ", result.stderr
    )


def test_check_finds_what_a_start_would_stumble_over(tmp_path):
    """A client certificate that cannot be read is told with the line of the service that wants it."""
    identity = "3a4f2c1e-0000-4000-8000-000000000001"
    path = tmp_path / "kong.yml"
    path.write_text(
        f'_format_version: "3.0"\ncertificates:\n  - id: {identity}\n    cert: /nowhere/cert.pem\n'
        f"    key: /nowhere/key.pem\nservices:\n  - name: secure\n    url: https://localhost\n"
        f"    client_certificate: {identity}\n"
    )
    result = proxyd("check", "--config", str(path))
    assert result.returncode == 1
    assert (
        f"{path}:7:5: services[secure]: error: /nowhere/cert.pem: No such file or directory" in result.stderr
    )


def test_a_file_that_is_not_there_is_one_clear_line(tmp_path):
    """No traceback, and exit code 1, whatever the verb."""
    for verb in ("check", "routes", "run"):
        result = proxyd(verb, "--config", "nowhere.yml")
        assert (result.returncode, result.stdout) == (1, "")
        assert result.stderr == "nowhere.yml: error: cannot be read: No such file or directory\n"


def test_the_environment_names_the_file(tmp_path):
    """PROXYD_DECLARATIVE_CONFIG stands for --config, which wins over it."""
    one, two = tmp_path / "one.yml", tmp_path / "two.yml"
    for path in (one, two):
        path.write_text('_format_version: "3.0"\n')
    env = {"PROXYD_DECLARATIVE_CONFIG": str(one)}
    assert proxyd("check", env=env).stdout.startswith(str(one))
    assert proxyd("check", "--config", str(two), env=env).stdout.startswith(str(two))


# --- what is never printed


@pytest.mark.parametrize(
    "arguments",
    [
        ("check",),
        ("routes",),
        ("schema",),
        ("explain", "GET", "http://localhost/api/orders", "--consumer", "mobile-app"),
        ("explain", "GET", "http://localhost/ws"),
        ("run",),
    ],
)
def test_secrets_are_never_printed(arguments, bad):
    """No verb shows a key, from the environment or from the file, whether the file is right or wrong."""
    env = ENV | {"PROXYD_PROXY_LISTEN": "nonsense"} if arguments == ("run",) else ENV
    config = () if arguments == ("schema",) else ("--config", str(bad))
    for result in (proxyd(*arguments, env=env), proxyd(*arguments, *config, env=env)):
        assert "hunter2" not in result.stdout + result.stderr


# --- colour


def on_a_terminal(*arguments, env=None):
    """Return what a verb prints to a terminal."""
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            [PROXYD, *arguments], env=environment(ENV | (env or {})), cwd=ROOT, stdout=theirs, stderr=theirs
        )
        os.close(theirs)
        seen = b""
        try:
            while data := os.read(ours, 65536):
                seen += data
        except OSError:
            pass  # Linux: the other end is closed
        process.wait(60)
    finally:
        os.close(ours)
    return seen.decode()


def test_colour_is_for_terminals(bad):
    """Results and errors are coloured on a terminal, and plain in a pipe."""
    assert ESCAPE in on_a_terminal("check")
    assert ESCAPE in on_a_terminal("check", "--config", str(bad))
    result = proxyd("check", "--config", str(bad))
    assert ESCAPE not in proxyd("check", env=ENV).stdout + result.stderr


def test_no_color_is_respected(bad):
    """NO_COLOR keeps a terminal plain, unless it is empty."""
    assert ESCAPE not in on_a_terminal("check", env={"NO_COLOR": "1"})
    assert ESCAPE in on_a_terminal("check", env={"NO_COLOR": ""})


# --- schema and explain


def test_schema_is_a_json_schema():
    """It parses, names its dialect, and knows services and plugins."""
    schema = json.loads(proxyd("schema").stdout)
    assert "$schema" in schema
    assert {"services", "plugins", "proxyd"} <= schema["properties"].keys()


def test_explain_tells_the_way_of_a_request():
    """Route with its place, service, upstream URL, targets and plugins, and why each route won or lost."""
    result = proxyd("explain", "GET", "http://localhost:8000/api/proxy/orders?n=1", env=ENV)
    assert result.returncode == 0
    assert re.search(r"^route +web-rest \(config/proxyd.yml:\d+:\d+\)$", result.stdout, re.MULTILINE)
    assert re.search(r"^service +rest$", result.stdout, re.MULTILINE)
    assert re.search(r"^upstream +http://backend/orders\?n=1$", result.stdout, re.MULTILINE)
    assert re.search(r"^target +127.0.0.1:3000 weight 100 \(round-robin\)$", result.stdout, re.MULTILINE)
    assert re.search(r"^plugin +correlation-id from global", result.stdout, re.MULTILINE)
    assert re.search(r"mobile-rest .* loses to web-rest: shorter prefix", result.stdout)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("/just/a/path", "is not a URL"),
        ("ftp://localhost/", "is not a URL"),
        ("http://localhost/%00", "the gateway answers 400"),
        ("http://localhost/a b", "the gateway answers 400"),
    ],
)
def test_explain_refuses_what_is_no_request(url, message):
    """A URL that the gateway would not take is told in a line, exit code 1."""
    result = proxyd("explain", "GET", url, env=ENV)
    assert result.returncode == 1
    assert result.stderr.startswith("proxyd: ")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


ROUTES = [
    {"name": "prefix", "paths": ["/a"]},
    {"name": "longer", "paths": ["/a/b"]},
    {"name": "regex", "paths": [r"~/a/\d+$"]},
    {"name": "method", "paths": ["/m"], "methods": ["POST", "DELETE"]},
    {"name": "host", "hosts": ["api.example.com"]},
    {"name": "wildcard", "hosts": ["*.example.com"], "paths": ["/w"]},
    {"name": "header", "headers": {"x-version": ["2"]}, "paths": ["/h"]},
    {"name": "secure", "paths": ["/s"], "protocols": ["https"]},
]
REQUESTS = [
    ("GET", "h", "/a", ""),
    ("GET", "h", "/a/b/c?x=1", ""),
    ("GET", "h", "/a/17", ""),
    ("GET", "h", "/a/17x", ""),
    ("GET", "h", "/ab", ""),
    ("POST", "h", "/m", ""),
    ("GET", "h", "/m", ""),
    ("GET", "api.example.com", "/nothing", ""),
    ("GET", "API.example.com:8000", "/a/b", ""),
    ("GET", "x.example.com", "/w", ""),
    ("GET", "example.com", "/w", ""),
    ("GET", "h", "/h", "X-Version: 2"),
    ("GET", "h", "/h", "X-Version: 3"),
    ("GET", "h", "/s", ""),
    ("GET", "h", "/x/../a/%62", ""),
    ("GET", "h", "/a%2Fb", ""),
    ("GET", "h", "//a///b", ""),
]


async def test_explain_says_what_the_gateway_does(gateway, origin, raw, tmp_path):
    """For each of a table of requests, the route and the upstream URL are those of the running gateway."""
    upstream = await origin(OK)
    config = config_for(upstream.port, service={"path": "/base"})
    config["services"][0]["routes"] = ROUTES
    proxy = await gateway(config)
    client = await raw(proxy.port)
    for number, (method, host, path, header) in enumerate(REQUESTS):
        lines = (
            f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{header + chr(13) + chr(10) if header else ''}\r\n"
        )
        answer = await client.ask(lines.encode())
        line = (await proxy.log_lines(number + 1))[number]
        options = ("--header", header) if header else ()
        told = proxyd("explain", method, f"http://{host}{path}", "--config", str(proxy.file), *options)
        route = re.search(r"^route +(\S+)", told.stdout, re.MULTILINE)
        assert (route[1] if route else None) == line["route"], (method, host, path, told.stdout)
        assert told.returncode == (0 if route else 1)
        target = re.search(r"^upstream +http://127.0.0.1:\d+(\S+)$", told.stdout, re.MULTILINE)
        if answer.status == 200:
            assert upstream.requests[-1].start == f"{method} {target[1]} HTTP/1.1"
        else:
            assert re.search(rf"^answer +{answer.status}\b", told.stdout, re.MULTILINE)
