"""GraphQL at the edge: what requests ask for, whether they may, and what becomes of their answers."""
