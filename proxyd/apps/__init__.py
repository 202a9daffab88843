"""Applications that proxyd itself serves; each is an ordinary aiohttp application."""
