"""Which studies of an index that was made anew are not to be analysed by themselves."""

from collections import Counter
from datetime import datetime, timedelta
from enum import Enum, auto

from storage.files import ResultStore
from storage.former_index import FormerIndex
from storage.index import Index
from storage.lifecycle import Event, State
from storage.records import StudyActivity

HAD_A_RESULT = (
    "the index was made anew and this study had a result before, so it is not analysed again; "
    "`dicom-node study retry UID` does"
)
OF_A_BATCH = (
    "the index was made anew, and this study was analysed for a batch that sends nothing; "
    "`dicom-node study retry UID` analyses it and sends the result"
)
NOT_KNOWN = (
    "the index was lost, and the last image of this study came more than a day before it was made anew: whether it was to "
    "be analysed or only compared with is not known; `dicom-node study retry UID` analyses it"
)
LONGEST_AGE = timedelta(days=1)
"""A study whose last image is younger, and of which nothing is known, is taken for one that was sent to be analysed."""


class Kept(Enum):
    """Why a study is not analysed by itself."""

    HAD_A_RESULT = auto()
    STAYS_AS_IT_WAS = auto()
    """It was fetched, skipped, or analysed for a batch that sends nothing."""
    NOT_KNOWN = auto()


def keep_from_running(index: Index, former: FormerIndex, results: ResultStore, *, now: datetime) -> Counter[Kept]:
    """Let studies that were not to be analysed wait for an operator; they are kept and compared with.

    Args:
        index: New, filled from the files.
        former: The one in whose place it is.
        results: Of the data folder.
        now: Aware UTC.

    Returns:
        How many studies, by the reason.
    """
    kept: Counter[Kept] = Counter()
    for uid, known in former.studies.items():
        if known.was_fetched and index.fetches.keep_as_fetched(uid, is_whole=known.is_whole):
            kept[Kept.STAYS_AS_IT_WAS] += 1
    for study in index.studies_in(State.RECEIVING):
        had_result = results.folder_of(study.study_instance_uid).is_dir()
        why = _why_not(study, former, had_result=had_result, now=now)
        if why:
            kind, words = why
            index.apply(study.study_instance_uid, Event.DISCARDED, why=words)
            kept[kind] += 1
    return kept


def _why_not(study: StudyActivity, former: FormerIndex, *, had_result: bool, now: datetime) -> tuple[Kept, str] | None:
    """Why a study is not analysed by itself, in words for its history; None where it is."""
    known = former.studies.get(study.study_instance_uid)
    is_of_batch = bool(known and known.is_kept_here)
    if had_result:
        return Kept.HAD_A_RESULT, OF_A_BATCH if is_of_batch else HAD_A_RESULT
    if is_of_batch:
        return Kept.STAYS_AS_IT_WAS, OF_A_BATCH
    # With more images than the index knew it goes on as after a late one.
    if known and known.state == State.SKIPPED and study.instance_count <= known.instance_count:
        return Kept.STAYS_AS_IT_WAS, known.reason
    is_known = former.is_whole if known is None else known.is_kept_here is not None
    if not is_known and study.last_instance_at < now - LONGEST_AGE:
        return Kept.NOT_KNOWN, NOT_KNOWN
    return None
