"""Signed tokens: taken apart strictly, and verified by the key that they name. No I/O; PyJWT does the mathematics."""
