"""Typed settings of a node and the file they are read from."""
