"""tcp-log, udp-log and syslog: their settings, and what syslog is told."""

from __future__ import annotations

import re

import pytest
from plugin_case import exchange, make
from pydantic import ValidationError

from proxyd.plugins.syslog import Syslog
from proxyd.plugins.tcp_log import TcpLog
from proxyd.plugins.udp_log import UdpLog


class Kept(list):
    def put(self, entry):
        self.append(entry)


def said(status, **config):
    """Return the messages about an exchange of this status."""
    plugin = make(Syslog, **config)
    plugin.output = Kept()
    one = exchange()
    one.status, one.ended = status, 1_700_000_000.0
    plugin.deliver([one], 0.0)
    return plugin.output


@pytest.mark.parametrize(
    ("plugin", "values"),
    [
        (TcpLog, {"host": "h"}),
        (TcpLog, {"port": 1}),
        (TcpLog, {"host": "h:1", "port": 1}),
        (TcpLog, {"host": "h", "port": 70_000}),
        (TcpLog, {"host": "h", "port": 1, "timeout": 0}),
        (UdpLog, {"host": "h"}),
        (UdpLog, {"host": "h", "port": 1, "tls": True}),
        (Syslog, {"facility": "local8"}),
        (Syslog, {"log_level": "warn"}),
        (Syslog, {"address": "log"}),
    ],
)
def test_settings_that_are_refused(plugin, values):
    """What Kong refuses."""
    with pytest.raises(ValidationError):
        plugin.Config(**values)


@pytest.mark.parametrize(
    ("status", "config", "number"),
    [
        (200, {}, 14),
        (404, {"client_errors_severity": "warning"}, 12),
        (500, {"server_errors_severity": "err", "facility": "local0"}, 131),
        (200, {"syslog_facility": "LOCAL7", "successful_severity": "emerg"}, 184),
        (499, {"client_errors_severity": "crit", "facility": "daemon"}, 26),
    ],
)
def test_a_message(status, config, number):
    """Facility and severity, the local time, and who says so; the record is the text."""
    (message,) = said(status, **config)
    head = rf"<{number}>Nov 1[45] \d\d:\d\d:\d\d proxyd\[\d+\]: "
    assert re.match(head.encode() + rb"\{", message)


@pytest.mark.parametrize(
    ("status", "config", "count"),
    [
        (200, {"log_level": "notice"}, 0),
        (404, {"log_level": "notice", "client_errors_severity": "notice"}, 1),
        (500, {"log_level": "emerg", "server_errors_severity": "alert"}, 0),
        (200, {"log_level": "debug"}, 1),
    ],
)
def test_the_level(status, config, count):
    """What is less severe is not sent."""
    assert len(said(status, **config)) == count


def test_what_shares_a_socket():
    """Instances to one place; over TLS and without are two."""
    keys = {make(TcpLog, host="h", port=1, tls=tls).output_key() for tls in (False, True, True)}
    assert len(keys) == 2
    assert make(UdpLog, host="h", port=1).output_key() != make(UdpLog, host="h", port=2).output_key()
    assert make(Syslog).output_key() == make(Syslog, facility="auth").output_key()
