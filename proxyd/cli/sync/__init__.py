"""``proxyd config``: entities written down as a file, compared with one, and made as one says."""
