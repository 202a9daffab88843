"""The proxies that are compared, in the order in which they are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.peers.aiohttp_peer import AiohttpPeer
from benchmarks.peers.caddy import CaddyPeer
from benchmarks.peers.envoy import EnvoyPeer
from benchmarks.peers.haproxy import HaproxyPeer
from benchmarks.peers.nginx import NginxPeer
from benchmarks.peers.node import FastifyPeer, NextPeer
from benchmarks.peers.proxyd import ProxydPeer, PurePeer

if TYPE_CHECKING:
    from benchmarks.peers.base import Peer

PEERS: tuple[Peer, ...] = (
    NginxPeer(),
    ProxydPeer(),
    PurePeer(),
    HaproxyPeer(),
    EnvoyPeer(),
    CaddyPeer(),
    AiohttpPeer(),
    FastifyPeer(),
    NextPeer(),
)
