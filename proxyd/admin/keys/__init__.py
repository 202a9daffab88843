"""API keys of the gateway's own making: issued, listed, rotated and revoked over HTTP."""
