"""What only who knows the schema can tell: whether a document is valid, whom it is for, and what it costs."""
