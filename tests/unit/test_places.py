"""Series that show places twice: images that are there twice, phases and reconstructions under one UID, blocks."""

from collections.abc import Callable
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import FileDataset

from builders.ct_series import CtSeries, chest_hu, ct_images, write_images
from pipeline.choose import choose_series
from pipeline.errors import PipelineError, WrongVolumeError
from pipeline.study import SeriesChoice

SERIES = CtSeries(shape=(14, 32, 32), spacing_mm=(5.0, 10.0, 10.0))


def again(change: Callable[[FileDataset, int], None] = lambda *_: None, *, denser_hu: int = 0) -> list[FileDataset]:
    """The same places once more, as other instances."""
    images = ct_images(SERIES, lambda points: chest_hu(points) + denser_hu)
    for number, image in enumerate(images):
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.1.9.{number}"
        change(image, number)
    return images


def choose(folder: Path, images: list[FileDataset]) -> SeriesChoice:
    """The one series."""
    return choose_series(write_images(folder, images))


def note_of(choice: SeriesChoice) -> str:
    """What is said of the series."""
    return " ".join(choice.qualifications)


def test_images_that_are_there_twice_count_once(tmp_path: Path) -> None:
    """A series sent again under new UIDs: the pixels tell."""
    choice = choose(tmp_path, [*ct_images(SERIES), *again()])
    assert len(choice.slice_headers) == 14
    assert "14 images that repeat another one of the series, pixel for pixel, left out." in note_of(choice)


def test_one_image_with_other_pixels_at_a_taken_place_is_refused(tmp_path: Path) -> None:
    """Which of the two belongs to the volume is not guessed."""
    with pytest.raises(WrongVolumeError, match=r"1 of its images lie where another .* with other pixels"):
        choose(tmp_path, [*ct_images(SERIES), again(denser_hu=30)[4]])


def acquisition(image: FileDataset, _: int) -> None:
    """Of a second acquisition."""
    image.AcquisitionNumber = 2


def kernel(image: FileDataset, _: int) -> None:
    """Of another reconstruction."""
    image.ConvolutionKernel = "STANDARD"


def image_type(image: FileDataset, _: int) -> None:
    """Of another kind."""
    image.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SEQ"]


def thickness(image: FileDataset, _: int) -> None:
    """Of other slices."""
    image.SliceThickness = 7.0


def agent(image: FileDataset, _: int) -> None:
    """With contrast."""
    image.ContrastBolusAgent = "Imeron"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (acquisition, "acquisitions"),
        (kernel, "reconstructions"),
        (image_type, "kinds of images"),
        (thickness, "slice thicknesses"),
        (agent, "contrast agents"),
    ],
)
def test_two_volumes_under_one_uid_are_split_by_what_tells_them_apart(
    tmp_path: Path, change: Callable[[FileDataset, int], None], words: str
) -> None:
    """One is read, whole, and the findings say so."""
    choice = choose(tmp_path, [*ct_images(SERIES), *again(change, denser_hu=30)])
    assert len(choice.slice_headers) == 14
    assert f"The series holds several {words}; the one with 14 slices is used." in note_of(choice)
    assert len({header.sop_instance_uid.startswith("1.2.3.1.9.") for header in choice.slice_headers}) == 1


def timed(images: list[FileDataset], first_s: int) -> list[FileDataset]:
    """One slice a second."""
    for number, image in enumerate(images):
        image.AcquisitionDate, image.AcquisitionTime = "20240501", f"1010{first_s + number:02d}.000000"
    return images


def test_two_passes_one_after_the_other_are_split_by_time(tmp_path: Path) -> None:
    """Where nothing else differs: the earlier one, before contrast, is read."""
    choice = choose(tmp_path, [*timed(again(denser_hu=30), 30), *timed(ct_images(SERIES), 0)])
    assert "passes, one after the other" in note_of(choice)
    assert not any(header.sop_instance_uid.startswith("1.2.3.1.9.") for header in choice.slice_headers)


def test_passes_that_overlap_in_time_are_not_split(tmp_path: Path) -> None:
    """Then time tells nothing."""
    with pytest.raises(WrongVolumeError, match="do not tell two whole volumes apart"):
        choose(tmp_path, [*timed(again(denser_hu=30), 5), *timed(ct_images(SERIES), 0)])


def test_two_blocks_of_different_spacing_are_called_so(tmp_path: Path) -> None:
    """Not missing slices, though the distances jump."""
    images = ct_images(SERIES)
    for number, image in enumerate(images):
        height = 1.25 * number if number < 7 else 1.25 * 6 + 5.0 * (number - 6)
        image.ImagePositionPatient = [*image.ImagePositionPatient[:2], height]
    with pytest.raises(
        WrongVolumeError, match=r"two blocks of different spacing \(7 slices 1.25 mm apart and 8 slices"
    ):
        choose(tmp_path, images)


@pytest.mark.parametrize("gone", range(1, 13))
def test_each_missing_slice_is_a_missing_slice(tmp_path: Path, gone: int) -> None:
    """Wherever it is missing."""
    images = ct_images(SERIES)
    del images[gone]
    with pytest.raises(WrongVolumeError, match="1 slice is missing"):
        choose(tmp_path, images)


DAMAGE = st.lists(
    st.tuples(st.integers(0, 13), st.sampled_from(["gone", "twice", "other pixels", "moved"])), max_size=4
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(DAMAGE, st.randoms(use_true_random=False))
def test_what_is_read_is_a_whole_even_volume_or_nothing(damage: list[tuple[int, str]], order: Random) -> None:
    """Whatever is missing, twice, contradicted or moved, in whatever order the files come."""
    images, spares, others = ct_images(SERIES), again(), again(denser_hu=30)
    kept = dict(enumerate(images))
    extra = []
    for number, what in damage:
        if what == "gone":
            kept.pop(number, None)
        elif what == "moved" and number in kept:
            kept[number].ImagePositionPatient = [*kept[number].ImagePositionPatient[:2], 2.0]
        elif what in {"twice", "other pixels"}:
            extra.append((others if what == "other pixels" else spares)[number])
    files = [*kept.values(), *{id(image): image for image in extra}.values()]
    with TemporaryDirectory() as folder:
        paths = write_images(Path(folder), files)
        order.shuffle(paths)
        try:
            choice = choose_series(paths)
        except PipelineError:
            return
    heights = np.array([header.image_position_mm[2] for header in choice.slice_headers])
    assert np.allclose(np.diff(heights), SERIES.spacing_mm[0])
    places = {round(float(image.ImagePositionPatient[2]), 3) for image in files}
    assert len(choice.slice_headers) == len(places)


def smaller(image: FileDataset, _: int) -> None:
    """Of a second acquisition, on a smaller field of view."""
    image.AcquisitionNumber, image.PixelSpacing = 2, [8.0, 8.0]


def finer(image: FileDataset, _: int) -> None:
    """Of a second reconstruction, for soft tissue, with twice the rows and columns."""
    stored = np.frombuffer(image.PixelData, "<u2").reshape(image.Rows, image.Columns)
    image.PixelData = np.kron(stored, np.ones((2, 2), "<u2")).astype("<u2").tobytes()
    image.Rows, image.Columns, image.PixelSpacing = 64, 64, [5.0, 5.0]
    image.ConvolutionKernel = "STANDARD"


def derived_coronal(image: FileDataset, number: int) -> None:
    """Of a reformat that is not called so."""
    image.ImageType, image.ImageOrientationPatient = ["DERIVED", "SECONDARY", "AXIAL"], [1, 0, 0, 0, 0, -1]
    image.ImagePositionPatient = [-155.0, 5.0 * number, 100.0]


@pytest.mark.parametrize(
    ("change", "words"),
    [(smaller, "acquisitions"), (finer, "reconstructions"), (derived_coronal, "kinds of images")],
)
def test_volumes_of_other_planes_and_sizes_are_split_too(
    tmp_path: Path, change: Callable[[FileDataset, int], None], words: str
) -> None:
    """Each by itself is even; heights are compared only where they are of one plane."""
    choice = choose(tmp_path, [*ct_images(SERIES), *again(change)])
    assert f"The series holds several {words}; the one with 14 slices is used." in note_of(choice)
    assert not any(header.sop_instance_uid.startswith("1.2.3.1.9.") for header in choice.slice_headers)


def test_a_few_reformats_are_not_read_in_the_place_of_slices_that_are_no_volume(tmp_path: Path) -> None:
    """They are whole by themselves."""
    images = ct_images(SERIES)
    del images[6]
    with pytest.raises(WrongVolumeError, match="its images lie in different orientations"):
        choose(tmp_path, [*images, *again(derived_coronal)[:11]])


def test_images_of_two_sizes_that_nothing_tells_apart_are_refused(tmp_path: Path) -> None:
    """They may be of one acquisition."""
    images = ct_images(SERIES)
    for image in images[:3]:
        image.PixelSpacing = [8.0, 8.0]
    with pytest.raises(WrongVolumeError, match="differ in size or pixel spacing"):
        choose(tmp_path, images)


def test_a_part_that_is_whole_is_read_where_a_larger_one_is_not(tmp_path: Path) -> None:
    """The larger acquisition lacks a slice; the other one has fewer and reaches over 80 % of its height."""
    larger = ct_images(SERIES)
    del larger[6]
    choice = choose(tmp_path, [*larger, *again(acquisition, denser_hu=30)[1:-1]])
    assert "The series holds several acquisitions; the one with 12 slices is used." in note_of(choice)


def test_a_whole_part_that_shows_much_less_is_not_read(tmp_path: Path) -> None:
    """Then the reason is that of the series."""
    larger = ct_images(SERIES)
    del larger[6]
    with pytest.raises(WrongVolumeError, match="lie where another image of the series lies"):
        choose(tmp_path, [*larger, *again(acquisition, denser_hu=30)[2:-2]])
