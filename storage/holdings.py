"""What is here of a study, beside what others say that it consists of."""

from collections import defaultdict
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, select

from storage.database import AnyRow
from storage.evidence_records import NoticeHoldings, SeriesHoldings, StudyNotice
from storage.models import Instance, Notice, Result, ResultObject, Series, Study, Use

_KEPT_FOR = timedelta(days=30)
"""A notice older than this is about a study that was received long ago, or never will be."""


def series_holdings(connection: Connection, study_instance_uid: str) -> tuple[SeriesHoldings, ...]:
    """What is here of each series of the study; instances that are not used are not counted."""
    rows = connection.execute(
        select(Series.series_instance_uid, Series.modality, Instance.slice_position_mm)
        .join(Study, Study.id == Series.study_id)
        .join(Instance, Instance.series_id == Series.id)
        .where(Study.study_instance_uid == study_instance_uid, Instance.use == Use.USED)
    )
    by_series: dict[tuple[str, str], list[float | None]] = defaultdict(list)
    for row in rows:
        by_series[row.series_instance_uid, row.modality].append(row.slice_position_mm)
    return tuple(
        SeriesHoldings(
            series_instance_uid=uid,
            modality=modality,
            instance_count=len(positions),
            slice_positions_mm=tuple(sorted(position for position in positions if position is not None)),
        )
        for (uid, modality), positions in by_series.items()
    )


def note_notice(connection: Connection, notice: StudyNotice, *, at: datetime) -> None:
    """Keep what a source said, in the place of what the same notice said earlier; forget what is too old."""
    is_it = (Notice.notice_uid == notice.notice_uid, Notice.study_instance_uid == notice.study_instance_uid)
    connection.execute(delete(Notice).where(*is_it))
    connection.execute(delete(Notice).where(Notice.at < at - _KEPT_FOR))
    connection.execute(
        insert(Notice).values(
            notice_uid=notice.notice_uid,
            study_instance_uid=notice.study_instance_uid,
            kind=notice.kind,
            is_final=notice.is_final,
            sop_instance_uids=" ".join(sorted(notice.sop_instance_uids)),
            calling_aet=notice.calling_aet,
            at=at,
        )
    )


def notices_under(connection: Connection, notice_uid: str) -> tuple[StudyNotice, ...]:
    """What one notice said, for each study that it names."""
    rows = connection.execute(select(Notice).where(Notice.notice_uid == notice_uid))
    return tuple(
        StudyNotice(
            notice_uid=row.notice_uid,
            study_instance_uid=row.study_instance_uid,
            kind=row.kind,
            is_final=row.is_final,
            sop_instance_uids=_named(row),
            calling_aet=row.calling_aet,
        )
        for row in rows
    )


def notice_holdings(connection: Connection, study_instance_uid: str) -> tuple[NoticeHoldings, ...]:
    """How much of what sources said about the study is here, used or not."""
    notices = connection.execute(select(Notice).where(Notice.study_instance_uid == study_instance_uid)).all()
    if not notices:
        return ()
    here = _known_instances(connection, study_instance_uid)
    return tuple(
        NoticeHoldings(
            kind=row.kind,
            is_final=row.is_final,
            named_count=len(_named(row)),
            missing_count=len(_named(row) - here),
        )
        for row in notices
    )


def _known_instances(connection: Connection, study_instance_uid: str) -> frozenset[str]:
    """SOP Instance UIDs of what was received, and of our own results: a notice may name these too."""
    is_study = Study.study_instance_uid == study_instance_uid
    received = (
        select(Instance.sop_instance_uid)
        .join(Series, Series.id == Instance.series_id)
        .join(Study, Study.id == Series.study_id)
        .where(is_study)
    )
    results = (
        select(ResultObject.sop_instance_uid)
        .join(Result, Result.id == ResultObject.result_id)
        .join(Study, Study.id == Result.study_id)
        .where(is_study)
    )
    return frozenset(connection.execute(received.union(results)).scalars())


def _named(row: AnyRow) -> frozenset[str]:
    return frozenset(row.sop_instance_uids.split())
