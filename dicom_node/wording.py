"""Findings in words that read well."""

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


def result_in_words(lesion_count: int, involvement_percent: float, stage: "Stage") -> str:
    """A study's result in one line."""
    words = stage.value.replace("_", " ")
    return f"{lesions_in_words(lesion_count)}, {involvement_percent:.1f} % of the lungs, stage: {words}"


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
