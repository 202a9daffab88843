"""Every proxy that is installed does the same work: it keeps connections, and tells the backend who asks and for what."""

from __future__ import annotations

import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import pytest

from benchmarks import machine
from benchmarks.certificate import make
from benchmarks.clients.messages import connect, frame
from benchmarks.heads import requests
from benchmarks.origin import streaming_origin
from benchmarks.peers import PEERS
from benchmarks.peers.many import MANY_PEERS
from benchmarks.process import Server, ServerError, free_port
from benchmarks.scenarios import base, connections, messages, tls
from benchmarks.scenarios.base import fetch
from benchmarks.scenarios.many import HEADERS, PATH

ALL = [peer for peer in PEERS if peer.name != "proxyd-python"]


def start(tmp_path, peer, origin, **more):
    """The proxy, not started yet; a skip where it is not installed."""
    if reason := peer.missing():
        pytest.skip(reason)
    listen = free_port()
    command = peer.command(tmp_path, listen=listen, origin=origin, **more)
    return Server(peer.name, command, port=listen, core=machine.cores()[0], directory=tmp_path)


@pytest.fixture
def recorder():
    """A backend that notes which connection each request came by, and its headers."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            seen.append((self.client_address[1], self.request_version, self.path, self.headers))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    server.seen = seen
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("peer", ALL, ids=lambda peer: peer.name)
def test_connections_are_kept_on_both_sides_and_the_backend_learns_of_the_client(tmp_path, peer, recorder):
    """Three requests over one connection reach the backend over one, as HTTP/1.1, with X-Forwarded-* and the query."""
    heads = [head for head in requests(count=40) if "Host: api.shop" in head][:3]
    with start(tmp_path, peer, recorder.server_address[1]) as server:
        fetch(server.port, "/a")
        recorder.seen.clear()
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
            for head in heads:
                client.sendall(head.encode())
                answer = b""
                while b"ok" not in answer.partition(b"\r\n\r\n")[2]:
                    piece = client.recv(65_536)
                    assert piece, answer
                    answer += piece
                if answer.partition(b"\r\n\r\n")[0].lower().count(b"chunked"):
                    while not answer.endswith(b"0\r\n\r\n"):
                        answer += client.recv(65_536)
        # Next.js writes queries anew.
        assert [unquote(path) for _, _, path, _ in recorder.seen] == [head.split(" ")[1] for head in heads]
        assert len({connection for connection, _, _, _ in recorder.seen}) == 1
        for _, version, _, headers in recorder.seen:
            assert version == "HTTP/1.1"
            # Envoy writes its own address where the client's is the loopback.
            assert headers["X-Forwarded-For"] == "127.0.0.1" or peer.name == "envoy"
            assert headers["X-Forwarded-For"]
            assert headers["X-Forwarded-Proto"] == "http"
            assert headers["X-Forwarded-Host"] == (None if peer.name == "envoy" else "api.shop.example")
            assert headers["Sec-Fetch-Site"] == "same-origin"


@pytest.mark.parametrize("peer", [p for p in ALL if p.name in tls.PEERS], ids=lambda peer: peer.name)
def test_the_certificate_is_shown_and_tls_13_spoken(tmp_path, peer):
    """The same in every proxy; what the client verifies is that it is ours."""
    certificate = make(tmp_path)
    with (
        streaming_origin(tmp_path, machine.cores()[1]) as origin,
        start(tmp_path, peer, origin.port, tls=certificate) as server,
    ):
        fetch(server.port, "/", tls=True)
        context = ssl.create_default_context(cafile=certificate.chain.with_name("ca.pem"))
        with (
            socket.create_connection(("127.0.0.1", server.port), timeout=20) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as client,
        ):
            assert client.version() == "TLSv1.3"


@pytest.mark.parametrize("peer", [p for p in ALL if p.name in messages.PEERS], ids=lambda peer: peer.name)
def test_a_websocket_passes(tmp_path, peer):
    """A message comes back through the proxy."""
    with (
        streaming_origin(tmp_path, machine.cores()[1]) as origin,
        start(tmp_path, peer, origin.port) as server,
    ):
        fetch(server.port, "/")
        with connect(server.port, 1) as client:
            client.sendall(frame(b"hello", masked=True))
            answer = frame(b"hello", masked=False)
            assert client.recv(len(answer), socket.MSG_WAITALL) == answer


@pytest.mark.parametrize("peer", [p for p in ALL if p.name in connections.PEERS], ids=lambda peer: peer.name)
def test_a_client_that_says_close_is_closed(tmp_path, peer, recorder):
    """And the connection to the backend stays."""
    request = requests(count=1, headers={"Connection": "close"})[0].encode()
    with start(tmp_path, peer, recorder.server_address[1]) as server:
        fetch(server.port, "/a")
        recorder.seen.clear()
        for _ in range(2):
            with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
                client.sendall(request)
                answer = b"".join(iter(lambda: client.recv(65_536), b""))
            assert answer.endswith(b"ok")
        assert len({connection for connection, _, _, _ in recorder.seen}) == 1


@pytest.mark.parametrize("peer", MANY_PEERS, ids=lambda peer: peer.name)
def test_a_key_is_asked_for_and_kept_from_the_backend(tmp_path, peer, recorder, monkeypatch):
    """Nobody without a key of the thousand gets in; the backend learns the consumer's name and not the key."""
    with start(tmp_path, peer, recorder.server_address[1]) as server:
        assert fetch(server.port, PATH, HEADERS) == b"ok"
        monkeypatch.setattr(base, "VERIFY_SECONDS", 0.0)  # a refusal is not asked again
        for headers in ({}, {"apikey": "key-unknown"}):
            with pytest.raises(ServerError, match="401"):
                fetch(server.port, PATH, headers)
        with pytest.raises(ServerError, match="404"):
            fetch(server.port, "/elsewhere", HEADERS)
    ((_, _, _, headers),) = recorder.seen
    assert "apikey" not in headers
    assert headers["X-Consumer-Username"] == "user-0"
