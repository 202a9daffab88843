"""The sockets that a master holds for its slots."""

from __future__ import annotations

import socket

import pytest

from proxyd.errors import ConfigError
from proxyd.master.sockets import Sockets
from proxyd.model.listen import parse_listen


def test_each_slot_has_a_socket_at_the_same_port():
    """The system chooses a port once, and connections reach some slot before anybody accepts."""
    sockets = Sockets(parse_listen("127.0.0.1:0"))
    sockets.open(3)
    ports = {slot[0].getsockname()[1] for slot in sockets.slots}
    assert len({number for slot in sockets.descriptors() for number in slot}) == 3
    assert sockets.addresses == [f"http://127.0.0.1:{ports.pop()}"]
    assert not ports
    with socket.create_connection(sockets.slots[0][0].getsockname()):
        pass
    sockets.close()
    assert repr(sockets).startswith("<Sockets slots=0")


def test_a_unix_socket_is_shared_and_goes_with_the_master(tmp_path):
    """There is one, in every slot, and no path is left."""
    path = tmp_path / "proxy.sock"
    sockets = Sockets(parse_listen(f"unix:{path}"))
    sockets.open(2)
    assert sockets.slots[0][0] is sockets.slots[1][0]
    assert path.is_socket()
    sockets.close()
    assert not path.exists()


@pytest.mark.parametrize("flags", ["", " reuseport"])
def test_another_gateway_is_not_joined_by_mistake(flags):
    """Though sockets can share a port, a second master is told that the address is taken; nothing stays open."""
    first = Sockets(parse_listen("127.0.0.1:0"))
    first.open(2)
    port = first.slots[0][0].getsockname()[1]
    second = Sockets(parse_listen(f"127.0.0.1:0, 127.0.0.1:{port}{flags}"))
    with pytest.raises(ConfigError, match="Address already in use"):
        second.open(2)
    assert second.slots == []
    first.close()


def listening(*, reuseport, port=0):
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, reuseport)
    sock.bind(("127.0.0.1", port))
    sock.listen()
    return sock


def test_a_socket_that_was_given_is_everybodys():
    """Of one that shares its port with nobody, all slots accept; it goes with the others."""
    (listen,) = parse_listen("127.0.0.1:0")
    given = listening(reuseport=False)
    sockets = Sockets([listen], {listen: [given]})
    sockets.open(3)
    assert [slot[0] is given for slot in sockets.slots] == [True] * 3
    sockets.close()
    assert given.fileno() == -1


def test_sockets_are_put_beside_one_that_was_given_where_it_allows_that():
    """Each slot has one of its own then, at the same port."""
    (listen,) = parse_listen("127.0.0.1:0")
    given = listening(reuseport=True)
    port = given.getsockname()[1]
    sockets = Sockets([listen], {listen: [given]})
    sockets.open(3)
    assert sockets.addresses == [f"http://127.0.0.1:{port}"]
    assert len({slot[0].fileno() for slot in sockets.slots}) == 3
    assert {slot[0].getsockname()[1] for slot in sockets.slots} == {port}
    sockets.close()


def test_several_that_were_given_for_one_entry_are_all_used():
    """Every slot has each of them."""
    (listen,) = parse_listen("127.0.0.1:0")
    given = [listening(reuseport=False) for _ in range(2)]
    sockets = Sockets([listen], {listen: given})
    sockets.open(2)
    assert sockets.entries == [listen, listen]
    assert sockets.slots == [given, given]
    sockets.close()
