"""Volumes in, findings out: knows no network and no database."""
