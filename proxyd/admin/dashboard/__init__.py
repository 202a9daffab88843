"""The dashboard of the admin listener: a page for browsers, and the figures that it draws."""
