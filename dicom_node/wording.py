"""Findings in words that read well."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.findings import Stage


def lesions_in_words(count: int) -> str:
    """`no lesions`, `1 lesion`, `2 lesions`."""
    return "1 lesion" if count == 1 else f"{count or 'no'} lesions"


def compared_in_words(count: int) -> str:
    """`no earlier studies compared`, `1 earlier study compared`, `2 earlier studies compared`."""
    return "1 earlier study compared" if count == 1 else f"{count or 'no'} earlier studies compared"


def read_in_words(number: int | None, passed_over: int) -> str:
    """`series 4 read, one of 5`: its number, and how many the study has."""
    name = "series without a number" if number is None else f"series {number}"
    return f"{name} read, one of {passed_over + 1}" if passed_over else f"{name} read"


def percent_in_words(percent: float, digits: int = 1) -> str:
    """`4.6 %`, or `less than 0.1 %` of what is there and would be rounded to nothing.

    Args:
        percent: From 0 on.
        digits: After the point.
    """
    text = f"{percent:.{digits}f}"
    return f"less than {10**-digits:.{digits}f} %" if percent > 0 and float(text) == 0 else f"{text} %"


def lungs_in_words(missing: Sequence[str]) -> str:
    """What the share of a study is of: `both lungs`, or `the lung found`.

    Args:
        missing: Sides of the lungs that were not found.
    """
    return "the lung found" if missing else "both lungs"


def missing_in_words(missing: Sequence[str]) -> str:
    """`no left lung was found`; empty where both were."""
    return f"no {' and no '.join(missing)} lung was found" if missing else ""


def result_in_words(lesion_count: int, involvement_percent: float, stage: "Stage", missing: Sequence[str] = ()) -> str:
    """A study's result in one line.

    Args:
        lesion_count: How many were found.
        involvement_percent: Of the lungs, or of the one that was found.
        stage: On CT.
        missing: Sides of the lungs that were not found.
    """
    words = stage.value.replace("_", " ")
    where = lungs_in_words(missing) if missing else "the lungs"
    found = f"{lesions_in_words(lesion_count)}, {percent_in_words(involvement_percent)} of {where}, stage: {words}"
    return f"{found}; {missing_in_words(missing)}" if missing else found


def counted(count: int, what: str) -> str:
    """`1 image`, `2 images`."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def readable_size(size_bytes: float) -> str:
    """A size for people, in powers of 1024 (IEC 80000-13)."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size_bytes) < 1024:
            return f"{size_bytes:.4g} {unit}"
        size_bytes /= 1024
    return f"{size_bytes:.4g} TiB"
