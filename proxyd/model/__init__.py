"""The configuration as typed entities: a file in, entities or every problem out. Nothing here runs per request."""
