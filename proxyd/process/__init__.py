"""A process of the gateway: what it is made of, and how it begins and ends."""
