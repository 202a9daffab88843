"""The admin listener: Kong's Admin API over the typed entities of ``model``, and what steers the gateway."""
