"""Several processes as one gateway: the master that binds, starts and watches, and a worker's end of their talk."""
