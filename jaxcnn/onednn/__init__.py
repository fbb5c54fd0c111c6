"""oneDNN by its own front door."""
