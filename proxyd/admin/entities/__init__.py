"""Kong's entities over HTTP: read from what runs or from a database, and written there."""
