"""What is compiled, where there is a C compiler.

The scanner of common heads always is, if it can be: without a compiler the installation goes on, and regular
expressions do its work. ``PROXYD_COMPILE=1`` compiles the modules that a request passes through as well, with
mypyc, from the very same source; that needs mypy and a compiler, and fails without. ``make compiled`` does it.
"""

import os

from setuptools import Extension, setup

COMPILED = (
    "bases/limits/fields",
    "bases/limits/limiter",
    "bases/limits/whom",
    "bases/phases/correlation",
    "bases/phases/keys",
    "bases/phases/origins",
    "clock",
    "downstream/body",
    "downstream/connection",
    "downstream/intake",
    "downstream/listener",
    "downstream/protocol",
    "downstream/tunnel",
    "exchange",
    "gateway/filtering",
    "gateway/forward",
    "gateway/forwarded",
    "gateway/handler",
    "gateway/marks",
    "gateway/paths",
    "gateway/pipeline",
    "gateway/relay",
    "gateway/route",
    "gateway/router/cache",
    "gateway/router/index",
    "gateway/router/router",
    "gateway/tasks",
    "gateway/upload",
    "graphql/accept",
    "graphql/answers",
    "graphql/cache",
    "graphql/counting",
    "graphql/document",
    "graphql/entry",
    "graphql/examiner",
    "graphql/front",
    "graphql/naming",
    "graphql/repeating",
    "graphql/request",
    "graphql/resolving",
    "graphql/variables",
    "http1/encoder",
    "http1/framing",
    "http1/headers",
    "http1/message",
    "http1/parser",
    "http1/target",
    "http1/websocket",
    "identity",
    "store/consumers",
    "store/counters",
    "store/counting",
    "store/used",
    "store/windows",
    "telemetry/access_line",
    "telemetry/date",
    "telemetry/histogram",
    "telemetry/meter",
    "telemetry/noted",
    "telemetry/operations",
    "telemetry/record",
    "telemetry/redact",
    "telemetry/tally",
    "telemetry/timing",
    "telemetry/trace",
    "upstream/algorithms",
    "upstream/balancer",
    "upstream/connection",
    "upstream/peer",
    "upstream/pool",
)


extensions = [Extension("proxyd.http1._scan", ["proxyd/http1/_scan.pyx"], optional=True)]
if os.environ.get("PROXYD_COMPILE"):
    from mypyc.build import mypycify

    extensions += mypycify([f"proxyd/{name}.py" for name in COMPILED], opt_level="2")

setup(ext_modules=extensions)
