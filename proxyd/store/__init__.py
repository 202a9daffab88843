"""State behind plugins: who the consumers are, and what is counted of them."""
