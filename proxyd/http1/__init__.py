"""HTTP/1.1 without I/O: bytes to heads and bodies, and back. Every rule of the protocol is here."""
