"""What a configuration makes of requests: explained before they come, and seen as they finish."""
