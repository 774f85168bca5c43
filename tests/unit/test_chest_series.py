"""The best series by its headers shows no lungs: the next best one is read, and the findings say so."""

import weakref
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGLSLossless

from builders.analysis import build_context
from builders.ct_series import AIR_HU, BODY_HU, CtSeries, chest_hu, ct_images, write_images
from builders.fake_engine import ShapeSegmenter, shape_engine
from dicom_node.results.uids import result_uids
from pipeline.chest_series import MOST_READ, read_chest
from pipeline.errors import NotAChestError, UnreadableStudyError, WrongVolumeError
from pipeline.findings import PriorStudy
from pipeline.orient import LpsVolume
from pipeline.run import analyse_with
from pipeline.study import Float64Array, Int16Array, StudyFiles, UInt8Array

NOW = datetime(2024, 5, 20, tzinfo=UTC)
BEST = CtSeries(uid="1.2.3.1", number=2, kernel="LUNG", shape=(48, 72, 72))
NEXT = CtSeries(uid="1.2.3.2", number=3, kernel="STANDARD", shape=(48, 72, 72))
NOTHING = "no lungs were found (0 ml of lung in the volume)"


def belly(points: Float64Array) -> Int16Array:
    """A body without air in it."""
    return np.where(np.linalg.norm(points[..., :2], axis=-1) < 120, BODY_HU, AIR_HU).astype(np.int16)


def study(folder: Path, *series: CtSeries, bellies: int, study_uid: str = "1.2.3", days_ago: float = 0) -> StudyFiles:
    """Files of a study of which the first series show a belly, the others a chest."""
    paths: list[Path] = []
    for number, one in enumerate(series):
        images = ct_images(one, belly if number < bellies else chest_hu)
        paths += write_images(folder / study_uid, images, prefix=f"{number}")
    acquired_at = NOW - timedelta(days=days_ago)
    return StudyFiles(study_instance_uid=study_uid, acquired_at=acquired_at, paths=tuple(paths))


def lungs_of(lps: LpsVolume) -> UInt8Array:
    """By grey values."""
    return ShapeSegmenter().segment(lps.volume_hu, lps.spacing_mm)


def test_the_next_best_series_is_read_where_the_best_shows_no_lungs(tmp_path: Path) -> None:
    """The findings are of its images, and name the series that was passed over with the reason, in the file and in words."""
    files = study(tmp_path, BEST, NEXT, bellies=1)
    findings = analyse_with(shape_engine(), files, [], on_progress=lambda *_: None).findings
    assert findings.series_instance_uid == NEXT.uid
    assert all(uid.startswith(f"{NEXT.uid}.") for uid in findings.input_sop_instance_uids)
    assert findings.qualifications == (f"Series 2 comes before the one that was read and was passed over: {NOTHING}.",)
    (passed_over,) = findings.passed_over
    assert (passed_over.series_instance_uid, passed_over.number) == (BEST.uid, 2)
    assert passed_over.reason == f"{NOTHING.capitalize()}."
    assert passed_over.speaks_for == ("kernel: lung kernel LUNG",)
    assert passed_over.speaks_against[0] == NOTHING
    assert findings.series_speaks_for == findings.series_speaks_against == ()


def test_the_same_lesions_are_found_as_in_that_series_alone(tmp_path: Path) -> None:
    """Under another UID of the result, since it says more; and whatever the order of the files."""
    both, alone = study(tmp_path, BEST, NEXT, bellies=1), study(tmp_path / "alone", NEXT, bellies=0)
    told, expected, again = (
        analyse_with(shape_engine(), files, [], on_progress=lambda *_: None).findings
        for files in (both, alone, replace(both, paths=both.paths[::-1]))
    )
    assert told.lesions == expected.lesions
    assert told.lesions
    assert told == again
    uids = [result_uids(findings, build_context()).derive("sr instance") for findings in (told, again, expected)]
    assert uids[0] == uids[1] != uids[2]


def test_one_volume_is_in_memory_at_a_time(tmp_path: Path) -> None:
    """That of a series without lungs is let go before the next one is read."""
    seen: list[weakref.ref[Int16Array]] = []

    def watched(lps: LpsVolume) -> UInt8Array:
        assert [volume() for volume in seen] == [None] * len(seen)
        seen.append(weakref.ref(lps.volume_hu))
        return lungs_of(lps)

    files = study(tmp_path, BEST, replace(BEST, uid="1.2.3.9", number=9), NEXT, bellies=2)
    assert read_chest(files, watched).choice.series_instance_uid == NEXT.uid
    assert len(seen) == 3


def test_a_study_is_refused_only_when_no_series_shows_lungs(tmp_path: Path) -> None:
    """Each is named with what was found; of one series the words are those of a study of one series."""
    with pytest.raises(NotAChestError) as refusal:
        read_chest(study(tmp_path, BEST, NEXT, bellies=2), lungs_of)
    assert refusal.value.reason == (
        f"None of the series that were read shows lungs. Series 2: {NOTHING}. Series 3: {NOTHING}. "
        "Route only chest CT to this node."
    )
    with pytest.raises(NotAChestError) as refusal:
        read_chest(study(tmp_path / "one", BEST, bellies=1), lungs_of)
    assert refusal.value.reason == f"{NOTHING.capitalize()}. Route only chest CT to this node."


def test_a_few_series_are_tried(tmp_path: Path) -> None:
    """Not all of a study of twenty: each takes as long as a study; the reason says how many were not, and what to do."""
    tried: list[int] = []
    small = replace(BEST, shape=(12, 64, 64))
    many = [replace(small, uid=f"1.2.3.{number}", number=number) for number in range(1, MOST_READ + 3)]
    with pytest.raises(NotAChestError, match=r"Not tried: 2 more, of which a rule \(\[\[peers.series\]\]\)"):
        read_chest(study(tmp_path, *many, bellies=len(many)), lungs_of, on_series=tried.append)
    assert tried == list(range(MOST_READ))


def test_other_reconstructions_of_a_head_come_after_the_chest(tmp_path: Path) -> None:
    """They lie where no lungs were found: however many they are, and however well they are called, the chest is second."""
    heads = [
        (replace(BEST, uid=f"1.2.3.{number}", number=number, description="Chest"), 1000.0) for number in range(1, 8)
    ]
    chest = replace(BEST, uid="1.2.3.20", number=20, description="", kernel="STANDARD")
    paths: list[Path] = []
    for one, above_mm in heads:
        images = ct_images(replace(one, shape=(12, 64, 64)), belly)
        for image in images:
            x, y, z = image.ImagePositionPatient
            image.ImagePositionPatient = [x, y, float(z) + above_mm]
        paths += write_images(tmp_path, images, prefix=f"head-{one.number}")
    paths += write_images(tmp_path, ct_images(chest, chest_hu), prefix="chest")
    tried: list[int] = []
    read = read_chest(
        StudyFiles(study_instance_uid="1.2.3", acquired_at=NOW, paths=tuple(paths)), lungs_of, on_series=tried.append
    )
    assert (read.choice.series_instance_uid, tried) == (chest.uid, [0, 1])


def damage(files: StudyFiles, number: int) -> None:
    """Garble the pixels of an image of one series: it says that they are compressed, and they are not."""
    (path,) = [path for path in files.paths if path.name == f"{number}-0003.dcm"]
    image = dcmread(path)
    image.file_meta.TransferSyntaxUID = JPEGLSLossless
    image.PixelData = encapsulate([b"no picture"])
    image.save_as(path)


def test_a_damaged_next_best_series_is_passed_over(tmp_path: Path) -> None:
    """The one after it is read, and the findings say so."""
    files = study(tmp_path, BEST, NEXT, replace(NEXT, uid="1.2.3.4", number=4, kernel="SOFT"), bellies=1)
    damage(files, 1)
    choice = read_chest(files, lungs_of).choice
    assert choice.series_instance_uid == "1.2.3.4"
    (note,) = [note for note in choice.qualifications if "damaged" in note]
    assert note.startswith("Series 3 comes before the one that was read and was passed over: it is damaged: 1-0003.dcm")
    assert note.endswith("Send the study again.")


def test_a_study_fails_where_the_damaged_series_may_be_the_chest(tmp_path: Path) -> None:
    """It is not skipped: sending it again helps. So it is where the best series is the damaged one."""
    files = study(tmp_path, BEST, NEXT, bellies=1)
    damage(files, 1)
    with pytest.raises(
        UnreadableStudyError, match=r"^None of the series that can be decoded shows lungs\. Series 2: .*again"
    ):
        read_chest(files, lungs_of)
    best = study(tmp_path / "best", BEST, NEXT, bellies=0)
    damage(best, 0)
    with pytest.raises(UnreadableStudyError, match=r"^0-0003.dcm cannot be read"):
        read_chest(best, lungs_of)


def test_a_series_without_lungs_is_no_measure_for_the_others(tmp_path: Path) -> None:
    """Beside a tall belly both chests would count as too short, and the part with the better kernel be read."""
    tall = replace(BEST, shape=(100, 72, 72))
    part = replace(BEST, uid="1.2.3.3", number=4, shape=(30, 72, 72))
    choice = read_chest(study(tmp_path, tall, NEXT, part, bellies=1), lungs_of).choice
    assert choice.series_instance_uid == NEXT.uid


def test_a_series_that_cannot_be_read_is_no_next_best(tmp_path: Path) -> None:
    """Only what may be read is looked into."""
    scout = replace(NEXT, shape=(4, 72, 72))
    with pytest.raises(NotAChestError, match=r"^No lungs were found"):
        read_chest(study(tmp_path, BEST, scout, bellies=1), lungs_of)
    with pytest.raises(WrongVolumeError):
        read_chest(study(tmp_path / "scout", scout, bellies=0), lungs_of)


def test_an_earlier_study_is_read_in_the_same_way(tmp_path: Path) -> None:
    """Else a study whose own result stands on the next best series could not be compared with."""
    now = study(tmp_path, BEST, bellies=0)
    earlier_series = [replace(one, study_uid="1.2.9", uid=one.uid.replace("1.2.3", "1.2.9")) for one in (BEST, NEXT)]
    before = study(tmp_path, *earlier_series, bellies=1, study_uid="1.2.9", days_ago=10)
    priors = [PriorStudy(files=before)]
    findings = analyse_with(shape_engine(), now, priors, on_progress=lambda *_: None).findings
    assert [prior.series_instance_uid for prior in findings.priors_used] == ["1.2.9.2"]


def test_progress_does_not_go_back(tmp_path: Path) -> None:
    """While one series is read after the other."""
    told: list[tuple[str, float]] = []
    files = study(tmp_path, BEST, NEXT, bellies=1)
    analyse_with(shape_engine(), files, [], on_progress=lambda *words: told.append(words))
    assert [stage for stage, _ in told].count("Finding the lungs") == 2
    assert [fraction for _, fraction in told] == sorted(fraction for _, fraction in told)
