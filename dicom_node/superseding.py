"""Finds the report that a new result takes the place of."""

import logging
from dataclasses import dataclass

from dicom_node.results.context import SR_NAME, Predecessor, predecessor_from_folder
from dicom_node.results.errors import UnreadableResultError
from storage.disk import sha256_of
from storage.records import ResultFile, ResultSet

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Superseded:
    """What a new result says of the one before."""

    predecessor: Predecessor | None = None
    qualifications: tuple[str, ...] = ()
    """Why a report that was sent is not named as predecessor."""


def superseded(sent: ResultSet | None) -> Superseded:
    """The report of the newest result of which a destination has something; None where there is no such result.

    Its Series Instance UID is in its kept copy alone. Without a whole copy the new result goes on without a predecessor,
    and says so: it is what an operator is told to make when a copy is lost.
    """
    report = next((file for file in sent.files if file.path.name == SR_NAME), None) if sent else None
    if report is None:
        return Superseded()
    if _is_whole(report):
        try:
            return Superseded(predecessor=predecessor_from_folder(report.path.parent))
        except UnreadableResultError:
            pass
    logger.warning("the kept copy of a report is gone or damaged: the new one does not name it as its predecessor")
    words = (
        f"This report takes the place of an earlier one (SOP Instance UID {report.sop_instance_uid}) without referring to "
        "it as its predecessor: the kept copy of that report is gone or damaged."
    )
    return Superseded(qualifications=(words,))


def _is_whole(file: ResultFile) -> bool:
    """Whether the kept copy is as it was made."""
    try:
        return sha256_of(file.path) == file.sha256
    except OSError:
        return False
