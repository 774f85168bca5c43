"""Findings in words."""

import pytest

from dicom_node.wording import compared_in_words, counted, lesions_in_words, read_in_words, result_in_words
from pipeline.findings import Stage


@pytest.mark.parametrize(("count", "words"), [(0, "no lesions"), (1, "1 lesion"), (12, "12 lesions")])
def test_lesions_are_counted_in_good_english(count: int, words: str) -> None:
    """None, one and several."""
    assert lesions_in_words(count) == words


@pytest.mark.parametrize(
    ("count", "words"), [(0, "no earlier studies"), (1, "1 earlier study"), (2, "2 earlier studies")]
)
def test_compared_studies_are_counted_in_good_english(count: int, words: str) -> None:
    """None, one and several."""
    assert compared_in_words(count) == f"{words} compared"


def test_a_stage_is_told_without_its_code() -> None:
    """What people read has no underscores."""
    assert result_in_words(0, 0.0, Stage.NO_LESION) == "no lesions, 0.0 % of the lungs, stage: no lesion"


@pytest.mark.parametrize(
    ("number", "others", "words"),
    [(4, 4, "series 4 read, one of 5"), (4, 0, "series 4 read"), (None, 1, "series without a number read, one of 2")],
)
def test_the_series_that_was_read_is_named(number: int | None, others: int, words: str) -> None:
    """Among how many."""
    assert read_in_words(number, others) == words


def test_counts_read_well() -> None:
    """One is not many."""
    assert [counted(number, "image") for number in (0, 1, 2)] == ["0 images", "1 image", "2 images"]
