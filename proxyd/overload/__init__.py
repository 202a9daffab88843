"""What the gateway does when more is asked than it, or a backend, can do: it refuses some, soon, and serves the rest."""
