"""The bench: proxyd beside other gateways, with the same backend and the same load; see docs/benchmarks.md."""
