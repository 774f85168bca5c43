"""What monitoring sees of a node: metrics, probes."""
