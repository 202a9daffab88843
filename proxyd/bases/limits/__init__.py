"""What plugins that limit share: whom they count, where they count, and what clients are told of it."""
