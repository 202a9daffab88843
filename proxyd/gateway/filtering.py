"""An answer's body on its way through the plugins that want it, and how it is framed then.

Its head goes ahead, or waits for the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxyd.http1.message import BODILESS, SWITCHING
from proxyd.plugin import HOLD, WATCH

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxyd.exchange import Exchange
    from proxyd.gateway.pipeline import Pipeline
    from proxyd.http1.message import RequestHead, ResponseHead


class Filtering:
    """The body filters of one answer. ``head`` is what waits until they have seen all of it, or None.

    ``changes`` is false where they only watch; then ``length``, if it is known, tells them early of the last piece.
    """

    __slots__ = ("_exchange", "_length", "_phases", "_pieces", "changes", "head")

    def __init__(
        self,
        exchange: Exchange,
        phases: tuple[Callable[..., bytes], ...],
        head: ResponseHead | None,
        *,
        changes: bool = True,
        length: int = -1,
    ) -> None:
        self.head = head
        self.changes = changes
        self._exchange = exchange
        self._phases = phases
        self._length = -1 if changes else length
        self._pieces: list[bytes] = []

    def __repr__(self) -> str:
        return f"<Filtering {len(self._phases)} {'passing' if self.head is None else 'holding'}>"

    def feed(self, data: bytes, last: bool) -> bytes:
        """Return what may go out for a piece; while the head waits, nothing before the last."""
        if len(data) == self._length and not last:
            last = True
            phases, self._phases = self._phases, ()
        else:
            phases = self._phases
        for phase in phases:
            data = phase(self._exchange, data, last)
        if self.head is None:
            return data
        self._pieces.append(data)
        return b"".join(self._pieces) if last else b""


def choose(exchange: Exchange, pipeline: Pipeline, head: ResponseHead) -> Filtering | None:
    """Ask the plugins who wants an answer's body; None where nobody does. What they raise is the caller's."""
    status = head.status
    phases: tuple[Callable[..., bytes], ...] = ()
    if pipeline.body_filter and status != SWITCHING:
        phases, how = pipeline.filters(exchange, status, head.headers)
        if phases and exchange.request.method != "HEAD" and status not in BODILESS:
            changes = how != WATCH or bool(exchange.replaced_method)  # whose answer may have another length
            waiting = head if how == HOLD else None
            return Filtering(exchange, phases, waiting, changes=changes, length=head.framing)
        if how == WATCH:
            phases = ()
    if phases:
        head.headers.remove(b"content-length")  # the body that there is not would have another one
    if exchange.replaced_method and status not in BODILESS:
        # The upstream was asked otherwise than the gateway.
        if exchange.request.method == "HEAD":
            return Filtering(exchange, (_nothing,), None)
        if exchange.replaced_method == "HEAD":
            head.headers.set(b"Content-Length", b"0")
    return None


def reframe(request: RequestHead, head: ResponseHead) -> bytes:
    """Frame a body whose length is not known, or not known any more; returns the line that says it is chunked."""
    if request.method == "HEAD":
        return b""
    head.headers.remove(b"content-length")
    if request.minor:
        return b"Transfer-Encoding: chunked\r\n"
    request.keep_alive = False  # HTTP/1.0 knows no other end than the connection's
    return b""


def _nothing(*_: object) -> bytes:
    return b""
