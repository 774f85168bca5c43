"""Training of both networks, from data to a model pack."""
