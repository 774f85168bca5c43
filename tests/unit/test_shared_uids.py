"""Images that bear the SOP Instance UID of other images."""

from pathlib import Path
from random import Random

import pytest
from pydicom.dataset import FileDataset
from pydicom.uid import RLELossless

from builders.ct_series import CtSeries, ct_images, write_images
from pipeline.choose import choose_series
from pipeline.errors import WrongVolumeError
from pipeline.survey import survey_series

LUNG = CtSeries(shape=(14, 32, 32), spacing_mm=(5.0, 10.0, 10.0))
SOFT = CtSeries(uid="1.2.3.2", number=2, kernel="STANDARD", shape=(14, 32, 32), spacing_mm=(5.0, 10.0, 10.0))


def rename(image: FileDataset, uid: str) -> None:
    """Give an image another SOP Instance UID."""
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = uid


def two_series_of_the_same_uids() -> list[FileDataset]:
    """The soft series bears the SOP Instance UIDs of the lung series."""
    lung, soft = ct_images(LUNG), ct_images(SOFT)
    for image, other in zip(soft, lung, strict=True):
        rename(image, str(other.SOPInstanceUID))
    return [*lung, *soft]


@pytest.mark.parametrize("seed", range(3))
def test_two_series_that_share_uids_keep_all_their_slices_whatever_their_files_are_called(
    tmp_path: Path, seed: int
) -> None:
    """A file name says nothing of its series, and a series that shares UIDs takes no slice from another."""
    images = two_series_of_the_same_uids()
    Random(seed).shuffle(images)
    survey = survey_series(write_images(tmp_path, images))
    assert [series.image_count for series in survey.judged] == [14, 14]
    assert not any(series.against for series in survey.judged)
    assert survey.chosen is not None
    assert survey.chosen.series_instance_uid == LUNG.uid


@pytest.mark.parametrize(("shared", "words"), [(1, "1 of its images bears"), (4, "4 of its images bear")])
def test_slices_of_one_series_that_share_a_uid_at_other_places_are_refused(
    tmp_path: Path, shared: int, words: str
) -> None:
    """Results name slices by their UID; left out, the lung would end with the others unseen."""
    images = ct_images(LUNG)
    for k in range(shared):
        rename(images[-1 - k], str(images[k].SOPInstanceUID))
    with pytest.raises(WrongVolumeError, match=f"{words} the SOP Instance UID of another one at another place"):
        choose_series(write_images(tmp_path, images))


def test_a_copy_of_a_file_counts_once_without_a_word(tmp_path: Path) -> None:
    """The same image in two folders, once compressed."""
    copies = ct_images(LUNG)
    copies[3].compress(RLELossless, generate_instance_uid=False)
    paths = [*write_images(tmp_path / "one", ct_images(LUNG)), *write_images(tmp_path / "two", copies)]
    choice = choose_series(paths)
    assert len(choice.slice_headers) == 14
    assert choice.qualifications == ()


def test_a_copy_that_says_of_its_compression_what_the_other_does_not_is_a_copy_too(tmp_path: Path) -> None:
    """A PACS writes into what it sends that nothing was lost; the image is the same."""
    copies = ct_images(LUNG)
    for image in copies:
        image.LossyImageCompression = "00"
    paths = [*write_images(tmp_path / "one", ct_images(LUNG)), *write_images(tmp_path / "two", copies)]
    choice = choose_series(paths)
    assert len(choice.slice_headers) == 14
    assert choice.qualifications == ()
