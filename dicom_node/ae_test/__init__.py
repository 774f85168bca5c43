"""A labelled test set for a peer: made on the spot, sent the way of all results."""
