"""Entities kept in a database, for those who change them while the gateway runs."""
