"""The plugins that come with proxyd, in the order in which they run: higher priority first, as in Kong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from proxyd.plugins.acl import Acl
from proxyd.plugins.basic_auth import BasicAuth
from proxyd.plugins.bot_detection import BotDetection
from proxyd.plugins.connection_limiting import ConnectionLimiting
from proxyd.plugins.correlation_id import CorrelationId
from proxyd.plugins.cors import Cors
from proxyd.plugins.csrf import Csrf
from proxyd.plugins.datadog import Datadog
from proxyd.plugins.file_log import FileLog
from proxyd.plugins.graphql import GraphQL
from proxyd.plugins.hmac_auth import HmacAuth
from proxyd.plugins.http_log import HttpLog
from proxyd.plugins.internal_key import InternalKey
from proxyd.plugins.ip_restriction import IpRestriction
from proxyd.plugins.jwt import Jwt
from proxyd.plugins.key_auth import KeyAuth
from proxyd.plugins.mtls_auth import MtlsAuth
from proxyd.plugins.opentelemetry import OpenTelemetry
from proxyd.plugins.prometheus import Prometheus
from proxyd.plugins.rate_limiting import RateLimiting
from proxyd.plugins.redirect import Redirect
from proxyd.plugins.request_size_limiting import RequestSizeLimiting
from proxyd.plugins.request_termination import RequestTermination
from proxyd.plugins.request_transformer import RequestTransformer
from proxyd.plugins.response_ratelimiting import ResponseRatelimiting
from proxyd.plugins.response_transformer import ResponseTransformer
from proxyd.plugins.security_headers import SecurityHeaders
from proxyd.plugins.statsd import Statsd
from proxyd.plugins.syslog import Syslog
from proxyd.plugins.tcp_log import TcpLog
from proxyd.plugins.udp_log import UdpLog
from proxyd.plugins.zipkin import Zipkin

if TYPE_CHECKING:
    from proxyd.plugin import Plugin

PLUGINS: tuple[type[Plugin[Any]], ...] = (
    CorrelationId,
    Zipkin,
    BotDetection,
    Cors,
    Csrf,
    MtlsAuth,
    Jwt,
    KeyAuth,
    BasicAuth,
    HmacAuth,
    IpRestriction,
    RequestSizeLimiting,
    Acl,
    GraphQL,
    ConnectionLimiting,
    RateLimiting,
    ResponseRatelimiting,
    RequestTransformer,
    ResponseTransformer,
    Redirect,
    SecurityHeaders,
    OpenTelemetry,
    Prometheus,
    HttpLog,
    Statsd,
    Datadog,
    FileLog,
    UdpLog,
    TcpLog,
    Syslog,
    InternalKey,
    RequestTermination,
)

BY_NAME: dict[str, type[Plugin[Any]]] = {plugin.name: plugin for plugin in PLUGINS}
