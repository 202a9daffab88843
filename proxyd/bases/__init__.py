"""What plugins of one kind stand on: those that find out who calls, that limit, that log, that trace."""
