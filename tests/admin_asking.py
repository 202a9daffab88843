"""Asking an admin listener whatever its OpenAPI document allows, and what it does not."""

from __future__ import annotations

import itertools

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = 4  # of each operation, as the document allows, and as many as it does not
ASKING = 30.0  # seconds for an answer, on a machine that is busy
ENDLESS = {"/dashboard/tail"}  # events, of which there is no last one

# What stands in paths in every other question, lest nothing is ever found.
KNOWN = {
    "services": "backend",
    "routes": "main",
    "consumers": "ann",
    "upstreams": "pool",
    "targets": "10.0.0.1:80",
    "address": "10.0.0.1:80",
    "acls": "staff",
    "plugins": "only",
    "basicauth_credentials": "ann",
    "jwt_secrets": "ann's",
    "tag": "web",
    "name": "routes",
    "route": "main",
}
PARTS = {
    "consumers": [
        {
            "username": "ann",
            "tags": ["web"],
            "acls": [{"group": "staff"}],
            "keyauth_credentials": [{"key": "a-very-secret-key"}],
            "basicauth_credentials": [{"username": "ann", "password": "hush"}],
            "jwt_secrets": [{"key": "ann's", "secret": "a-secret-of-thirty-two-bytes-long"}],
        }
    ],
    "plugins": [{"name": "cors", "instance_name": "only"}],
    "upstreams": [{"name": "pool", "targets": [{"target": "10.0.0.1:80"}]}],
}


def ask_all(url):
    """Ask every operation of the document; returns what was found to be wrong, and how often each status came."""
    document = schemathesis.openapi.from_url(f"{url}/openapi.json")
    statuses, wrong = {}, []
    for found in document.get_all_operations():
        operation = found.ok()
        if operation.path in ENDLESS:
            continue
        modes = [GenerationMode.POSITIVE]
        if operation.body or operation.query:  # of a path alone, nothing is wrong
            modes.append(GenerationMode.NEGATIVE)
        for mode in modes:
            try:
                ask_one(operation, mode, url, statuses)
            except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001  # whatever it is, it is told with the others
                inner = getattr(error, "exceptions", [error])
                wrong += [f"{operation.method} {operation.path}: {one}" for one in inner]
    return wrong, statuses


def ask_one(operation, mode, url, statuses):
    turns = itertools.count()

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case):
        if next(turns) % 2:
            for where in (case.path_parameters, case.query):
                known = where.keys() & KNOWN.keys() if isinstance(where, dict) else ()
                where |= {name: KNOWN[name] for name in known}
        answer = case.call(base_url=url, timeout=ASKING)
        statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
        case.validate_response(answer, checks=CHECKS)

    ask()
