"""Which patients train, which validate, which are kept for tests."""

import hashlib
from collections.abc import Iterable
from enum import Enum
from typing import Final


class Split(Enum):
    """A part of the patients; nobody is in two."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


_UPPER_ENDS: Final = ((0.70, Split.TRAIN), (0.85, Split.VALIDATION), (1.0, Split.TEST))
_STRICTEST_FIRST: Final = (Split.TEST, Split.VALIDATION, Split.TRAIN)


def split_of(group: str) -> Split:
    """The split of a patient, or of all patients of a site: the same in every store and on every machine.

    Args:
        group: Identifier in the source, with the name of the source before it.
    """
    digest = hashlib.sha256(f"split of {group}".encode()).digest()
    share = int.from_bytes(digest[:8]) / 2**64
    return next(split for end, split in _UPPER_ENDS if share < end)


def strictest(splits: Iterable[Split]) -> Split:
    """The one split of a patient whose studies came with several, as when seen at two sites: never train on a test."""
    found = set(splits)
    return next(split for split in _STRICTEST_FIRST if split in found)
