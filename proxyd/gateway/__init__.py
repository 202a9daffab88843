"""The core: match a request, run its phases, forward it, or answer it. Begin reading at ``handler``."""
