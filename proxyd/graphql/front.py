"""What HTTP says of a GraphQL request before its body is read: method, media types, and whether a page of another site sent it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxyd.graphql.accept import accepted
from proxyd.graphql.refusal import Refused
from proxyd.graphql.request import parameters_in
from proxyd.http1.headers import Headers

if TYPE_CHECKING:
    from proxyd.exchange import Exchange
    from proxyd.graphql.requests import Requests

JSON_BODY: Final = "json"
UPLOAD: Final = "upload"
PAGE: Final = "page"
QUERY: Final = "query"
PREFLIGHT: Final = "preflight"

_JSON: Final = b"application/json"
MULTIPART: Final = b"multipart/form-data"

# As clients write it.
_PLAIN: Final = frozenset({_JSON, b"application/json; charset=utf-8", b"application/json;charset=UTF-8"})
# Those that a browser sends without asking first (Fetch, CORS-safelisted request-header).
_SIMPLE: Final = frozenset({b"application/x-www-form-urlencoded", MULTIPART, b"text/plain", b""})
_CHARSETS: Final = frozenset({b"utf-8", b"utf8"})


class Front:
    """Looks at the head of each request; one per plugin instance."""

    __slots__ = ("_allow", "_csrf_headers", "_names", "_pages", "_prevents", "_uploads", "get")

    def __init__(self, requests: Requests) -> None:
        self.get = requests.get
        self._allow = b"GET, HEAD, POST" if requests.get else b"POST"
        self._prevents = requests.csrf_prevention
        self._names = ", ".join(requests.csrf_headers)
        self._csrf_headers = tuple(name.lower().encode() for name in requests.csrf_headers)
        self._pages = requests.pages
        self._uploads = requests.uploads

    def __repr__(self) -> str:
        return f"<Front {self._allow.decode()}>"

    def look(self, exchange: Exchange) -> str:
        """Return what kind of request it is; raises Refused."""
        request = exchange.request
        headers = exchange.headers
        if request.method == "POST":
            wants = accepted(headers.get(b"accept"))
            if not wants.media and not wants.streams:
                raise _not_acceptable()
            kind = self._of_content(headers)
            if request.query:
                _refuse_parameters(request.query)
            return kind
        if request.method in {"GET", "HEAD"} and self.get:
            return self._of_query(exchange)
        if (
            request.method == "OPTIONS"
            and not request.framing
            and b"access-control-request-method" in headers
        ):
            if request.query and parameters_in(request.query[1:]):
                request.query = ""  # what the GET behind it will ask for, which some servers would answer now
            return PREFLIGHT  # asks for nothing, and cors may be the backend's affair
        raise self.not_allowed(f"{request.method} is no method of GraphQL")

    def not_allowed(self, message: str, allow: bytes = b"") -> Refused:
        """Return the refusal of a method."""
        headers = Headers.of([(b"Allow", allow or self._allow)])
        return Refused(405, "METHOD_NOT_ALLOWED", message, well_formed=False, headers=headers)

    def _of_content(self, headers: Headers) -> str:
        content = headers.get(b"content-type")
        if content not in _PLAIN:
            media, _, parameters = (content or b"").partition(b";")
            media = media.strip(b" \t").lower()
            if media == MULTIPART and self._uploads:
                self._prevent(headers)
                return UPLOAD
            if media != _JSON or not _is_utf8(parameters):
                raise _unsupported()
        if b"content-encoding" in headers and headers.get(b"content-encoding") != b"identity":
            raise _unsupported("The body must not be compressed")
        return JSON_BODY

    def _of_query(self, exchange: Exchange) -> str:
        headers = exchange.headers
        wants = accepted(headers.get(b"accept"))
        if exchange.request.framing:
            raise Refused(400, "BAD_REQUEST", "A GET request has no body", well_formed=False)
        if (
            self._pages and wants.html and not exchange.request.query
        ):  # which could name a document in many ways
            return PAGE
        if not wants.media and not wants.streams:
            raise _not_acceptable()
        content = headers.get(b"content-type")
        if content is None or content.partition(b";")[0].strip(b" \t").lower() in _SIMPLE:
            self._prevent(headers)
        return QUERY

    def _prevent(self, headers: Headers) -> None:
        """Refuse what a page of another site may have had a browser send without asking; raises Refused.

        What tells of browsers, pages cannot take out: Sec-Fetch-Site, Origin, Cookie, and the name that all of them
        have borne since Mozilla. A program that is none needs no header.
        """
        if not self._prevents or any(name in headers for name in self._csrf_headers):
            return
        site = headers.get(b"sec-fetch-site")
        if site in {b"same-origin", b"none"}:
            return
        agent = headers.get(b"user-agent")
        if (
            site is not None
            or b"origin" in headers
            or b"cookie" in headers
            or (agent is not None and agent.startswith(b"Mozilla/"))
        ):
            message = f"A browser may have sent this for another site: send one of the headers {self._names}"
            raise Refused(400, "CSRF_PREVENTED", message, well_formed=False)


def _is_utf8(parameters: bytes) -> bool:
    """Tell whether no parameter says otherwise, of several charsets either."""
    for parameter in parameters.split(b";"):
        name, _, value = parameter.partition(b"=")
        if name.strip(b" \t").lower() == b"charset" and value.strip(b' \t"').lower() not in _CHARSETS:
            return False
    return True


def _refuse_parameters(query: str) -> None:
    """Refuse a POST that names a document in its URL too, which some servers would take instead of the body's."""
    if parameters_in(query[1:]):
        raise Refused(
            400,
            "BAD_REQUEST",
            "A POST has its parameters in the body, and none in the URL",
            well_formed=False,
        )


def _not_acceptable() -> Refused:
    return Refused(
        406,
        "NOT_ACCEPTABLE",
        "The answer is application/graphql-response+json or application/json",
        well_formed=False,
    )


def _unsupported(message: str = "The body must be application/json in UTF-8") -> Refused:
    return Refused(415, "UNSUPPORTED_MEDIA_TYPE", message, well_formed=False)
