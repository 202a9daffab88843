"""Certificates, keys and signed tokens, read and verified; the cryptography itself is libraries'."""
