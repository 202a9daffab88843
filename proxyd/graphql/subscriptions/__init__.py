"""Subscriptions: streams of results, by whichever protocol the client speaks, and whichever the backend does."""
