"""The node: the only package on the network, it composes pipeline, storage, config."""
