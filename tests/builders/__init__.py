"""Builders that arrange what the tests look at."""
