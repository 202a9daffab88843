"""Descriptors that a process was started with: which listener each is for, and which cannot be used."""

from __future__ import annotations

import os
import socket

import pytest

from proxyd.cli.config import plugin_configs
from proxyd.errors import ConfigError
from proxyd.model.load import load_text
from proxyd.process import inherited
from proxyd.process.inherited import Descriptor, parse_descriptor


def settings(**given):
    text = '_format_version: "3.0"\n'
    defaults = {"status_listen": "off", "admin_listen": "off"}
    return load_text(text, "kong.yml", env={}, plugins=plugin_configs(), overrides=defaults | given).settings


@pytest.fixture
def listening():
    """Give what makes a listening socket, and its descriptor for someone else to take."""
    sockets = []

    def make(address=("127.0.0.1", 0), family=socket.AF_INET):
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.bind(address)
        sock.listen()
        sockets.append(sock)
        return os.dup(sock.fileno()), sock.getsockname()

    yield make
    for sock in sockets:
        sock.close()


def adopted(descriptors, wanted):
    """Return what was adopted as (setting, entry, address), and close it."""
    given = inherited.adopt(descriptors, wanted)
    found = [
        (setting, str(listen), sock.getsockname())
        for setting, entries in given.items()
        for listen, sockets in entries.items()
        for sock in sockets
    ]
    inherited.close(given)
    return found


def refused(descriptors, wanted):
    with pytest.raises(ConfigError) as error:
        inherited.adopt(descriptors, wanted)
    return [str(problem) for problem in error.value.problems]


def test_without_a_name_the_address_decides(listening):
    """Each goes to the entry that names its address, whatever the order, and with that entry's flags."""
    first, one = listening()
    second, two = listening()
    wanted = settings(
        proxy_listen=f"127.0.0.1:{one[1]} ssl, 127.0.0.1:0", status_listen=f"127.0.0.1:{two[1]}"
    )
    assert adopted([Descriptor(second), Descriptor(first)], wanted) == [
        ("proxy_listen", f"127.0.0.1:{one[1]} ssl", one),
        ("status_listen", f"127.0.0.1:{two[1]}", two),
    ]


def test_a_name_decides_where_no_entry_has_the_address(listening):
    """Proxy is what has no ssl, proxy-ssl what has; several of a name share the last entry."""
    numbers = [listening()[0] for _ in range(4)]
    wanted = settings(proxy_listen="0.0.0.0:80, 0.0.0.0:443 ssl", status_listen="0.0.0.0:81")
    names = ["status", "proxy-ssl", "proxy", "proxy"]
    found = adopted([Descriptor(*each) for each in zip(numbers, names, strict=True)], wanted)
    assert [(setting, listen) for setting, listen, _ in found] == [
        ("proxy_listen", "0.0.0.0:443 ssl"),
        ("proxy_listen", "0.0.0.0:80"),
        ("proxy_listen", "0.0.0.0:80"),
        ("status_listen", "0.0.0.0:81"),
    ]


def test_port_0_and_a_host_name_match(listening):
    """An entry that leaves the port to the system takes any; localhost is the address that it stands for."""
    number, address = listening()
    assert adopted([Descriptor(number)], settings(proxy_listen="localhost:0")) == [
        ("proxy_listen", "localhost:0", address)
    ]


def test_a_unix_socket_is_matched_by_its_path(listening, tmp_path):
    """Its file is left alone."""
    path = tmp_path / "proxy.sock"
    number, _ = listening(str(path), socket.AF_UNIX)
    found = adopted([Descriptor(number)], settings(proxy_listen=f"unix:{path}"))
    assert found == [("proxy_listen", f"unix:{path}", str(path))]
    assert path.is_socket()


def test_what_cannot_be_used_is_told_all_at_once(listening, tmp_path):
    """Closed, a file, not listening, a datagram socket, an address that no entry has: each with what is wrong."""
    file = os.open(tmp_path, os.O_RDONLY)
    with (
        socket.socket() as silent,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram,
    ):
        unknown, address = listening()
        numbers = [9999, file, silent.fileno(), datagram.fileno(), unknown]
        descriptors = [Descriptor(number) for number in numbers]
        descriptors.append(Descriptor(listening()[0], "status", "LISTEN_FDS"))
        problems = refused(descriptors, settings(proxy_listen="127.0.0.1:1"))
        for number in (file, silent.fileno(), datagram.fileno()):
            os.fstat(number)  # not ours, not closed
    os.close(file)
    assert [
        problem.partition(" descriptor ")[2].partition(" ")[2].partition(":")[0] for problem in problems
    ] == [
        "is not open",
        "is no socket",
        "is a socket that nobody listens on",
        "is no stream socket of TCP or of a path",
        "listens on 127.0.0.1",
        "listens on 127.0.0.1",
    ]
    assert (
        f"127.0.0.1:{address[1]}, which is in none of proxy_listen, status_listen, admin_listen"
        in problems[4]
    )
    assert problems[5].startswith("LISTEN_FDS: descriptor")
    assert problems[5].endswith("for 'status', and status_listen has no entry for it")


def test_what_systemd_passes_is_for_this_process_alone():
    """Names of NAMES count, others say nothing; the variables are gone afterwards, and another's pid is ignored."""
    environ = {"LISTEN_FDS": "3", "LISTEN_PID": "7", "LISTEN_FDNAMES": "proxy-ssl:proxyd.socket", "PATH": "/"}
    assert inherited.from_environment(environ, 7) == [
        Descriptor(3, "proxy-ssl", "LISTEN_FDS"),
        Descriptor(4, "", "LISTEN_FDS"),
        Descriptor(5, "", "LISTEN_FDS"),
    ]
    assert environ == {"PATH": "/"}
    assert inherited.from_environment({"LISTEN_FDS": "1", "LISTEN_PID": "7"}, 8) == []
    assert inherited.from_environment({}, 7) == []
    for count in ("many", "-1", "1000000000", "9" * 5000):
        with pytest.raises(ConfigError, match=f"'{count}' is not a number"):
            inherited.from_environment({"LISTEN_FDS": count, "LISTEN_PID": "7"}, 7)


@pytest.mark.parametrize("text", ["", "x", "-1", "0=", "0=web", "²"])
def test_a_descriptor_on_the_command_line_is_a_number_and_a_known_name(text):
    """Anything else is told with the names that there are."""
    with pytest.raises(ValueError, match="with a NAME of proxy, proxy-ssl, status, admin"):
        parse_descriptor(text)
    for much in ("1048576", "9" * 5000):
        with pytest.raises(ValueError, match="is no descriptor: the highest is 1048575"):
            parse_descriptor(much)
    assert [str(parse_descriptor(good)) for good in ("0", "3=proxy-ssl")] == ["0", "3=proxy-ssl"]
