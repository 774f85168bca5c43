"""Fingerprints of what is made from configuration and data."""

import hashlib
from collections.abc import Sequence


def fingerprint(told: Sequence[object]) -> str:
    """Of values whose `repr` says all of them."""
    return hashlib.sha256(repr(told).encode()).hexdigest()
