"""One module each. They say what they make in full, and import nothing of proxyd: the code goes on, they stay."""
