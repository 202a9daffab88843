"""An origin that takes what it receives apart by h11, which knows nothing of our parser, and keeps it."""

from __future__ import annotations

from dataclasses import dataclass, field

import h11


@dataclass
class Received:
    """A request as h11 read it; ``whole`` where its end has come."""

    start: str
    headers: list[tuple[str, bytes]]
    body: bytes = b""
    trailers: list[tuple[str, bytes]] = field(default_factory=list)
    whole: bool = False

    def all(self, name):
        return [value for key, value in self.headers if key == name.lower()]


def pairs(headers):
    return [(name.decode().lower(), value) for name, value in headers]


class Recorder:
    """The script of an origin: takes requests apart, keeps them, and tells in each answer what it answers."""

    def __init__(self) -> None:
        self.requests: list[Received] = []
        self.errors: list[str] = []
        self.sent: list[bytes] = []  # each whole request as it stood on the wire

    @property
    def whole(self) -> list[Received]:
        return [request for request in self.requests if request.whole]

    async def __call__(self, wire):
        strict, taken = h11.Connection(h11.SERVER), 0
        while True:
            try:
                event = strict.next_event()
            except h11.RemoteProtocolError as error:
                self.errors.append(repr(error))
                return
            if event is h11.NEED_DATA:
                try:
                    data = await wire.exactly(1)
                except (EOFError, TimeoutError):
                    return
                strict.receive_data(data + wire._take(len(wire._data)))
            elif isinstance(event, h11.Request):
                start = f"{event.method.decode()} {event.target.decode()}"
                self.requests.append(Received(start, pairs(event.headers)))
            elif isinstance(event, h11.Data):
                self.requests[-1].body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                request = self.requests[-1]
                request.trailers = pairs(event.headers)
                request.whole = True
                self.sent.append(wire.received[taken : len(wire.received) - len(strict.trailing_data[0])])
                taken += len(self.sent[-1])
                await wire.send(self.answer(strict, request))
                strict.start_next_cycle()
            elif isinstance(event, h11.ConnectionClosed):
                return

    def answer(self, strict, request):
        body = b"ok"
        head = h11.Response(
            status_code=200,
            headers=[("X-Seen", request.start), ("X-Number", str(len(self.whole))), ("Content-Length", "2")],
        )
        data = b"" if request.start.startswith("HEAD ") else body
        return (
            strict.send(head)
            + (strict.send(h11.Data(data)) if data else b"")
            + strict.send(h11.EndOfMessage())
        )
