"""Warnings about valid entities: what is accepted and does not mean what its writer may think."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxyd.clock import Clock
from proxyd.crypto.keys import WEAK_RSA, BadKeyError, from_pem
from proxyd.model.document import DATABASE
from proxyd.model.entities import JWTSecret, KeyAuthCredential, Plugin, Route, Service

if TYPE_CHECKING:
    from proxyd.model.report import Report
    from proxyd.model.settings import Settings
    from proxyd.model.walk import Draft


def advise(draft: Draft, settings: Settings, report: Report) -> None:
    """Add the warnings that one entity gives rise to."""
    entity = draft.entity
    if isinstance(entity, Route):
        _advise_route(draft, entity, report)
    elif isinstance(entity, Service):
        verified = settings.tls_verify if entity.tls_verify is None else entity.tls_verify
        if entity.protocol in ("https", "wss", "grpcs") and not verified:
            field = "protocol" if entity.tls_verify is None else "tls_verify"
            _advise(draft, field, "the backend's certificate is not verified: tls_verify is off", report)
        if entity.protocol in ("grpc", "grpcs"):
            _advise(draft, "protocol", "gRPC needs HTTP/2, which is not spoken: its calls will fail", report)
    elif isinstance(entity, KeyAuthCredential):
        if entity.ttl:
            _advise(
                draft, "ttl", "counts from each load of the file; expires_at says when a key ends", report
            )
        over = entity.expires_at is not None and entity.expires_at <= Clock().time()
        if over and report.file != DATABASE:  # there, lists tell of it, and every write would
            _advise(draft, "expires_at", "the key has expired: it lets nobody in", report)
    elif isinstance(entity, JWTSecret):
        _advise_jwt_secret(draft, entity, report)
    elif isinstance(entity, Plugin) and not entity.for_requests:
        _advise(
            draft, "protocols", "the plugin never runs: streams other than HTTP's are not carried", report
        )


def _advise_route(draft: Draft, route: Route, report: Report) -> None:
    if route.path_handling == "v1":
        _advise(
            draft,
            "path_handling",
            "v1 is honoured here; Kong's traditional_compatible router ignores it",
            report,
        )
    for field in ("request_buffering", "response_buffering"):
        if draft.fields.get(field):
            _advise(draft, field, f"{field} has no effect: bodies are always streamed", report)
    if "grpc" in route.protocols or "grpcs" in route.protocols:
        _advise(draft, "protocols", "gRPC needs HTTP/2, which is not spoken: its calls will fail", report)


def _advise_jwt_secret(draft: Draft, secret: JWTSecret, report: Report) -> None:
    if secret.algorithm.startswith("HS"):
        if secret.secret is None:
            message = "there is no secret, so no token can be verified; Kong would invent one"
            _advise(draft, "algorithm", message, report)
        elif len(secret.secret.encode()) < (least := int(secret.algorithm[2:]) // 8):
            message = f"the secret is short: {secret.algorithm} wants {least} bytes (RFC 7518 section 3.2)"
            _advise(draft, "secret", message, report)
        return
    try:
        bits = from_pem(secret.rsa_public_key or "", secret.algorithm).bits
    except BadKeyError:
        return  # which is an error, and told as one
    if 0 < bits < WEAK_RSA:
        message = f"the key is weak: it has {bits} bits, and tokens want {WEAK_RSA} (RFC 7518 section 3.3)"
        _advise(draft, "rsa_public_key", message, report)


def _advise(draft: Draft, field: str, message: str, report: Report) -> None:
    _, path, element = draft.locate((field,), report.file)
    report.advise(element, path, message)
