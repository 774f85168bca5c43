"""A site's own CT with its masks or labels, brought into a store that training reads."""
