"""Clients: listening, their connections, TLS towards them."""
