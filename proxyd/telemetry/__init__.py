"""What is known of finished requests and of the gateway itself: metrics, access lines, events, identifiers."""
