"""Whether what the gateway depends on is well, asked off the request path."""
