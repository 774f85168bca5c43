"""One even volume whose slices are not all of one kind."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.dataset import FileDataset

from builders.ct_series import CtSeries, ct_images, write_images
from pipeline.kernels import KernelUse
from pipeline.series import JudgedSeries
from pipeline.survey import survey_series

SLICES = 61
MIXED = "The slices of the series are not all of one kind: "


def judged(folder: Path, change: Callable[[FileDataset, int], None], slices: int = SLICES) -> JudgedSeries:
    """A series of slices of 5 mm, 2.5 mm apart, each changed by its number."""
    images = ct_images(CtSeries(kernel="B70f", shape=(slices, 32, 32), spacing_mm=(2.5, 10.0, 10.0)))
    for number, image in enumerate(images):
        image.SliceThickness = 5.0
        change(image, number)
    (one,) = survey_series(write_images(folder, images)).judged
    assert not one.against
    return one


def slice_count(series: JudgedSeries) -> int:
    """Of the volume that is made of it."""
    assert series.stack is not None
    return len(series.stack.slices)


def softer(image: FileDataset) -> None:
    """Of a kernel for soft tissue."""
    image.ConvolutionKernel = "B30f"


def every_other_kernel(image: FileDataset, number: int) -> None:
    """The softer kernel has one slice more."""
    if number % 2 == 0:
        softer(image)


def every_other_acquisition(image: FileDataset, number: int) -> None:
    """Of another time, and kernel."""
    image.AcquisitionNumber = 2 - number % 2
    every_other_kernel(image, number)


def every_other_with_agent(image: FileDataset, number: int) -> None:
    """Contrast in one slice more."""
    if number % 2 == 0:
        image.ContrastBolusAgent = "Iomeron"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (every_other_kernel, "reconstructions"),
        (every_other_acquisition, "acquisitions"),
        (every_other_with_agent, "contrast agents"),
    ],
)
def test_of_whole_volumes_slice_between_slice_the_best_is_read(
    tmp_path: Path, change: Callable[[FileDataset, int], None], words: str
) -> None:
    """The one for lung tissue, or without contrast, though it has a slice less."""
    series = judged(tmp_path, change)
    assert series.notes == (f"The series holds several {words}; the one with 30 slices is used.",)
    assert (series.kernel, series.contrast.words) == ("B70f", "no word of contrast")


def test_a_volume_of_two_halves_counts_as_the_worse_and_says_what_differs(tmp_path: Path) -> None:
    """Kernel and contrast; neither half shows the whole."""

    def change(image: FileDataset, number: int) -> None:
        if number >= 30:
            softer(image)
            image.AcquisitionNumber, image.ContrastBolusAgent = 2, "Iomeron"

    series = judged(tmp_path, change)
    assert slice_count(series) == SLICES
    assert (series.kernel, series.kernel_use, series.contrast.words) == ("B30f", KernelUse.OTHER, "with contrast")
    kinds = "their kernels differ (B30f, B70f), some have a contrast agent and some none. "
    assert series.notes[-1].startswith(MIXED + kinds)


def test_parts_that_are_no_volumes_are_read_together_and_named(tmp_path: Path) -> None:
    """Seven slices are too few."""
    series = judged(tmp_path, every_other_acquisition, slices=14)
    assert slice_count(series) == 14
    assert series.notes[-1].startswith(f"{MIXED}their kernels differ (B30f, B70f), slices of 2 acquisitions alternate.")


def test_thin_slices_of_two_passes_stay_together(tmp_path: Path) -> None:
    """Every other one was acquired in each: alone they would leave gaps."""

    def change(image: FileDataset, number: int) -> None:
        image.AcquisitionNumber, image.SliceThickness = 1 + number % 2, 2.5

    series = judged(tmp_path, change)
    assert slice_count(series) == SLICES
    assert series.notes[-1].startswith(f"{MIXED}slices of 2 acquisitions alternate.")


@pytest.mark.parametrize("slices_of_one", [1, 4, 31])
def test_acquisitions_that_follow_one_another_are_no_mixture(tmp_path: Path, slices_of_one: int) -> None:
    """Each position of the table, or each rotation, has its number; in either direction."""

    def change(image: FileDataset, number: int) -> None:
        image.AcquisitionNumber = (SLICES - number) // slices_of_one

    series = judged(tmp_path, change)
    assert (slice_count(series), series.notes) == (SLICES, ())


def test_words_for_no_contrast_agent_do_not_differ(tmp_path: Path) -> None:
    """NO, NONE and nothing."""

    def change(image: FileDataset, number: int) -> None:
        image.ContrastBolusAgent = ("NO", "None", "")[number % 3]

    series = judged(tmp_path, change)
    assert (slice_count(series), series.notes) == (SLICES, ())
