"""security-headers: what browsers are told to be strict about, on every answer.

Not Kong's. Sources: RFC 6797 (HSTS), CSP Level 3, the Fetch standard (nosniff), RFC 7034, Referrer Policy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from proxyd import plugin
from proxyd.http1.headers import is_field_value
from proxyd.transform.rules import Changeable

if TYPE_CHECKING:
    from proxyd.exchange import Exchange
    from proxyd.http1.headers import Headers

YEAR = 31_536_000  # seconds; the least that browsers' preload lists take

ReferrerPolicy = Literal[
    "no-referrer",
    "no-referrer-when-downgrade",
    "origin",
    "origin-when-cross-origin",
    "same-origin",
    "strict-origin",
    "strict-origin-when-cross-origin",
    "unsafe-url",
    "",
]


class Config(plugin.Config):
    """Settings of security-headers."""

    hsts: bool = True
    """Whether browsers shall use nothing but TLS from now on (Strict-Transport-Security); it is told over TLS only."""
    hsts_max_age: int = Field(YEAR, ge=0)
    """Seconds for which they shall; 0 makes them forget it."""
    hsts_include_subdomains: bool = False
    """Whether that is so for every host below this one."""
    hsts_preload: bool = False
    """Whether browsers may ship with it; hard to take back."""
    content_security_policy: str = (
        "default-src 'self'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
    )
    """Content-Security-Policy: from where a page may load what; here and below, an empty text sends nothing."""
    content_security_policy_report_only: bool = False
    """Whether the policy is only reported on (Content-Security-Policy-Report-Only)."""
    content_type_nosniff: bool = True
    """Whether types are to be believed (X-Content-Type-Options)."""
    frame_options: Literal["DENY", "SAMEORIGIN", ""] = "DENY"
    """Which pages may show this one in a frame (X-Frame-Options), for browsers that do not know frame-ancestors."""
    referrer_policy: ReferrerPolicy = "strict-origin-when-cross-origin"
    """What other sites learn of the page that a visitor comes from (Referrer-Policy)."""
    permissions_policy: str = ""
    """Permissions-Policy: which of the browser's abilities pages may use."""
    cross_origin_opener_policy: Literal["same-origin", "same-origin-allow-popups", "unsafe-none", ""] = ""
    """Cross-Origin-Opener-Policy: whether windows of other sites keep a hold on this one."""
    cross_origin_resource_policy: Literal["same-origin", "same-site", "cross-origin", ""] = ""
    """Cross-Origin-Resource-Policy: which sites may load this without CORS."""
    remove: tuple[Annotated[str, Changeable], ...] = ("X-Powered-By",)
    """Headers of the upstream that tell what it is made of."""
    override: bool = False
    """Whether these take the place of the upstream's own; otherwise the upstream knows better."""

    @model_validator(mode="after")
    def _usable(self) -> Self:
        for name in ("content_security_policy", "permissions_policy"):
            if not is_field_value(getattr(self, name).encode()):
                raise ValueError(f"{name} is not the value of a header field")
        if self.hsts_preload and not (self.hsts_include_subdomains and self.hsts_max_age >= YEAR):
            raise ValueError(
                f"hsts_preload needs hsts_include_subdomains and an hsts_max_age of {YEAR} or more"
            )
        return self

    def lines(self) -> dict[str, str]:
        """Return what is told over plain connections too, by name; nothing of what is empty."""
        policy = "Content-Security-Policy" + (
            "-Report-Only" if self.content_security_policy_report_only else ""
        )
        return {
            policy: self.content_security_policy,
            "X-Content-Type-Options": "nosniff" if self.content_type_nosniff else "",
            "X-Frame-Options": self.frame_options,
            "Referrer-Policy": self.referrer_policy,
            "Permissions-Policy": self.permissions_policy,
            "Cross-Origin-Opener-Policy": self.cross_origin_opener_policy,
            "Cross-Origin-Resource-Policy": self.cross_origin_resource_policy,
        }


class SecurityHeaders(plugin.Plugin[Config]):
    """Sets headers that make browsers strict, on the upstream's answers and on the gateway's own."""

    name = "security-headers"
    priority = 770  # behind response-transformer: what that sets is the operator's own wish

    def prepare(self) -> None:
        """Write the lines."""
        config = self.config
        plain = [
            (name.lower().encode(), name.encode(), value.encode())
            for name, value in config.lines().items()
            if value
        ]
        secure = list(plain)
        if config.hsts:
            hsts = f"max-age={config.hsts_max_age}"
            hsts += "; includeSubDomains" if config.hsts_include_subdomains else ""
            hsts += "; preload" if config.hsts_preload else ""
            name = b"Strict-Transport-Security"
            secure.append((name.lower(), name, hsts.encode()))
        self._plain, self._secure = tuple(plain), tuple(secure)
        self._remove = tuple(name.lower().encode() for name in config.remove)
        self._override = config.override

    def header_filter(self, exchange: Exchange, status: int, headers: Headers) -> None:
        """Set them."""
        del status
        for name in self._remove:
            headers.remove(name)
        # RFC 6797 section 7.2: over a plain connection, HSTS is not said.
        for key, name, value in self._secure if exchange.scheme == "https" else self._plain:
            if self._override or key not in headers:
                headers.set(name, value)
