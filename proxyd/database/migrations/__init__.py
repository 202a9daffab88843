"""The revisions of the tables, in the order in which ``proxyd migrate`` runs them."""
