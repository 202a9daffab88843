"""Who else may say who calls: token issuers, and the keys that they publish."""
