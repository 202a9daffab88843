"""Load tools of our own, for what wrk cannot do; each is a process that prints one line of JSON."""
