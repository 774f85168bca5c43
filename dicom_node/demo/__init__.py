"""A whole node with a small PACS on loopback, to see what it does in minutes."""
