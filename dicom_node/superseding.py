"""Finds the reports that a new result takes the place of."""

import logging
from collections.abc import Collection
from dataclasses import dataclass

from dicom_node.results.context import Predecessor, predecessor_from_file
from dicom_node.results.errors import UnreadableResultError
from storage.disk import sha256_of
from storage.records import ResultFile, ResultSet

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Superseded:
    """What a new result says of the one before."""

    predecessor: Predecessor | None = None
    further_predecessors: tuple[Predecessor, ...] = ()
    """The other documents of that result, for the report of the same class each."""
    qualifications: tuple[str, ...] = ()
    """Why a report that was sent is not named as predecessor."""


def superseded(sent: ResultSet | None, *, taken: Collection[str] = ()) -> Superseded:
    """The reports of the newest result of which a destination has something; nothing where there is no such result.

    A report that nobody has is named only where nobody has another. The Series Instance UID of each is in its kept copy
    alone. Without a whole copy the new result goes on without it as a predecessor, and says so: it is what an operator is
    told to make when a copy is lost.

    Args:
        sent: That result.
        taken: SOP Instance UIDs of what some destination has.
    """
    reports = [file for file in sent.files if file.kind == "sr"] if sent else []
    named = [report for report in reports if report.sop_instance_uid in taken] or reports
    found = {report.sop_instance_uid: _predecessor(report) for report in named}
    whole = [predecessor for predecessor in found.values() if predecessor]
    return Superseded(
        predecessor=next(iter(whole), None),
        further_predecessors=tuple(whole[1:]),
        qualifications=tuple(_why_not_named(uid) for uid, predecessor in found.items() if predecessor is None),
    )


def _predecessor(report: ResultFile) -> Predecessor | None:
    """A report as predecessor; None where its kept copy is gone or damaged."""
    if not _is_whole(report):
        return None
    try:
        return predecessor_from_file(report.path)
    except UnreadableResultError:
        return None


def _why_not_named(sop_instance_uid: str) -> str:
    logger.warning("the kept copy of a report is gone or damaged: the new one does not name it as its predecessor")
    return (
        f"This report takes the place of an earlier one (SOP Instance UID {sop_instance_uid}) without referring to "
        "it as its predecessor: the kept copy of that report is gone or damaged."
    )


def _is_whole(file: ResultFile) -> bool:
    """Whether the kept copy is as it was made."""
    try:
        return sha256_of(file.path) == file.sha256
    except OSError:
        return False
