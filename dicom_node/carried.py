"""Which studies an open association carries, as far as the listener still says so."""

from collections.abc import Iterable
from datetime import datetime

from storage.evidence_records import CarryingAssociation

LEASE_S = 30.0
"""An association whose listener has said nothing for this long is over: the listener speaks every five seconds."""


class CarriedStudies:
    """Follows the signs of life of associations on the monotonic clock, so that no step of the wall clock ends one."""

    def __init__(self, *, lease_s: float = LEASE_S) -> None:
        """Start with nothing seen."""
        self._lease_s = lease_s
        self._seen: dict[tuple[str, str], tuple[datetime, float]] = {}

    def held(self, associations: Iterable[CarryingAssociation], *, monotonic_s: float) -> frozenset[str]:
        """Study Instance UIDs of what an association carries that is open.

        Args:
            associations: Of every study that is being received.
            monotonic_s: Monotonic clock.
        """
        seen: dict[tuple[str, str], tuple[datetime, float]] = {}
        for one in associations:
            if one.ended_at is None:
                key = (one.association, one.study_instance_uid)
                before = self._seen.get(key)
                is_same = before is not None and before[0] == one.seen_at
                seen[key] = before if before is not None and is_same else (one.seen_at, monotonic_s)
        self._seen = seen
        return frozenset(study for (_, study), (_, at_s) in seen.items() if monotonic_s - at_s < self._lease_s)
