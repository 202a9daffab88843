"""Backends: names, addresses, connections, pools, balancing, health."""
