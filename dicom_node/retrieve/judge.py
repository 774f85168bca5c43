"""Whether what came of an earlier study is what the PACS said that there is."""

from collections.abc import Collection, Sequence

from dicom_node.retrieve.answers import SeriesAnswer
from dicom_node.retrieve.survey import Wanted, found_from
from dicom_node.retrieve.transfer import SubOperations
from dicom_node.wording import counted
from storage.fetch_records import FoundPriorView, FoundState
from storage.fetch_tasks import HeldStudy
from storage.records import PatientKey


def missing_series(series: Sequence[SeriesAnswer], held: HeldStudy | None) -> list[str]:
    """Series Instance UIDs of those that are not here as a whole, by the count of the PACS."""
    here = held.images_by_series if held else {}
    return [
        one.series_instance_uid
        for one in series
        if one.instance_count is None or here.get(one.series_instance_uid, 0) < one.instance_count
    ]


def verdict_on(
    wanted: Wanted, told: SubOperations, held: HeldStudy | None, *, patients: Collection[PatientKey]
) -> FoundPriorView:
    """How a retrieval ended, by what is in the index and not by what the PACS said alone.

    Args:
        wanted: The study with the series that were asked for, and what the PACS said is in them.
        told: What it said that it sent.
        held: What is here now.
        patients: Everyone who is the person of the current study.
    """
    here = held.images_by_series if held else {}
    came = sum(here.get(one.series_instance_uid, 0) for one in wanted.series)
    failure = _failure(wanted, told, here, came=came)
    if failure:
        return found_from(wanted.study, FoundState.FAILED, failure, instance_count=came)
    if held and held.patient not in patients:
        words = "its images name another patient ID or issuer than the answer of the PACS: not linked"
        return found_from(wanted.study, FoundState.REFUSED, words, instance_count=came)
    return found_from(wanted.study, FoundState.FETCHED, counted(came, "image"), instance_count=came)


def _failure(wanted: Wanted, told: SubOperations, here: dict[str, int], *, came: int) -> str:
    if told.failed:
        return f"the PACS failed to send {told.failed} of {told.failed + told.completed} images"
    short = [one for one in wanted.series if here.get(one.series_instance_uid, 0) < (one.instance_count or 1)]
    if short:
        said = sum(one.instance_count or 1 for one in wanted.series)
        return f"the PACS says it has {said} images or more, {came} came: it is not used in part"
    if came < told.completed:
        return f"the PACS says it sent {told.completed} images, {came} came: it is not used in part"
    return ""
