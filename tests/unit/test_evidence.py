"""What speaks for a study being complete, what against it."""

from datetime import UTC, datetime

import pytest

from dicom_node.evidence import (
    WHOLE_STUDY,
    Evidence,
    Finding,
    SeriesCount,
    evidence_of_associations,
    evidence_of_count,
    evidence_of_notices,
    evidence_of_slices,
)
from storage.evidence_records import CarryingAssociation, NoticeHoldings, SeriesHoldings

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
EVEN = tuple(1.25 * number for number in range(40))


def holdings(*positions: float, uid: str = "1.1", modality: str = "CT", count: int = 0) -> SeriesHoldings:
    """A series with slices at these positions."""
    return SeriesHoldings(
        series_instance_uid=uid,
        modality=modality,
        instance_count=count or len(positions),
        slice_positions_mm=tuple(sorted(positions)),
    )


def count(number: int, *, uid: str = "1.1", modality: str = "CT") -> SeriesCount:
    """What a peer has of a series."""
    return SeriesCount(series_instance_uid=uid, modality=modality, instance_count=number)


def carrying(*, was_released: bool, is_open: bool = False) -> CarryingAssociation:
    """An association that carried the study."""
    return CarryingAssociation(
        association="a.1",
        study_instance_uid="1",
        calling_aet="CT1",
        seen_at=NOON,
        ended_at=None if is_open else NOON,
        was_released=was_released,
    )


def notice(*, missing: int = 0, is_final: bool = True, kind: str = "ian") -> NoticeHoldings:
    """A notice that names forty instances."""
    return NoticeHoldings(kind=kind, is_final=is_final, named_count=40, missing_count=missing)


def test_even_slices_agree() -> None:
    """Also with duplicates of a position, as two reconstructions in one series leave them."""
    found = evidence_of_slices([holdings(*EVEN, *EVEN), holdings(count=1, uid="1.2", modality="SR")])
    assert (found.finding, found.words) == (Finding.AGREES, "40 slices without a gap")


def test_each_axial_ct_series_must_be_even() -> None:
    """One with a gap is enough against."""
    found = evidence_of_slices([holdings(*EVEN), holdings(*EVEN[:10], *EVEN[11:], uid="1.2")])
    assert (found.finding, found.words) == (Finding.CONTRADICTS, "slices are missing at 1 places")


@pytest.mark.parametrize(
    "series",
    [
        (),
        (holdings(*EVEN[:7]),),
        (holdings(*EVEN, modality="MR"),),
        (holdings(count=40),),
        (holdings(*EVEN, 5.1),),
        (holdings(0, 1, 2, 4, 6, 8, 10, 11),),
    ],
)
def test_slices_say_nothing(series: tuple[SeriesHoldings, ...]) -> None:
    """None, too few, another modality, without positions, one that lies between two others, most with a gap."""
    assert evidence_of_slices(series).finding is Finding.SILENT


def test_associations_agree_only_when_each_was_released() -> None:
    """One that was cut or is open is enough for silence."""
    released, cut = carrying(was_released=True), carrying(was_released=False)
    assert evidence_of_associations([released]) == Evidence(finding=Finding.AGREES, words="association released")
    assert evidence_of_associations([released] * 4).words == "4 associations released"
    for associations in ([], [released, cut], [released, carrying(was_released=False, is_open=True)]):
        assert evidence_of_associations(associations).finding is Finding.SILENT


def test_count_agrees_when_every_ct_image_is_here() -> None:
    """Our own results in the PACS do not count."""
    found = evidence_of_count([count(40), count(3, uid="9", modality="SEG")], [holdings(*EVEN)], peer="pacs")
    assert (found.finding, found.words) == (Finding.AGREES, "40 of 40 images that pacs has are here")


def test_a_higher_count_contradicts() -> None:
    """Also when another series has more here than there."""
    found = evidence_of_count(
        [count(41), count(5, uid="1.2")], [holdings(*EVEN), holdings(count=9, uid="1.2")], peer="pacs"
    )
    assert (found.finding, found.words) == (Finding.CONTRADICTS, "1 of 46 images that pacs has are missing")


@pytest.mark.parametrize("counts", [(), (count(39),), (count(40, modality="MR"),), (count(0),)])
def test_a_peer_that_has_less_or_nothing_says_nothing(counts: tuple[SeriesCount, ...]) -> None:
    """It may itself still be receiving."""
    assert evidence_of_count(counts, [holdings(*EVEN)], peer="pacs").finding is Finding.SILENT


def test_a_count_of_the_whole_study_is_compared_with_all_series() -> None:
    """For a peer that does not list series."""
    series = [holdings(*EVEN), holdings(count=2, uid="1.2")]
    assert evidence_of_count([count(42, uid=WHOLE_STUDY)], series, peer="p").finding is Finding.AGREES
    assert evidence_of_count([count(43, uid=WHOLE_STUDY)], series, peer="p").finding is Finding.CONTRADICTS


def test_notices_agree_when_everything_is_here() -> None:
    """The words say what it was."""
    found = evidence_of_notices([notice(), notice(kind="mpps")])
    assert found.finding is Finding.AGREES
    assert found.words == "80 of 80 instances that a notification and a performed procedure step named are here"


def test_notices_contradict_while_something_is_missing_or_made() -> None:
    """A step in progress says that more comes."""
    assert evidence_of_notices([notice(missing=1)]).finding is Finding.CONTRADICTS
    assert evidence_of_notices([notice(is_final=False, kind="mpps")]).finding is Finding.CONTRADICTS
    assert evidence_of_notices([]).finding is Finding.SILENT
