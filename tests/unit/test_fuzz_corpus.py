"""The cases of fuzz targets that are kept in the repository."""

from pathlib import Path

import pytest

from builders import fuzz_corpus
from builders.fuzz_cases import TARGETS
from builders.fuzz_corpus import keep_cases, kept_cases


def test_what_is_kept_is_read_back_in_order_of_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each once, and no more than 16 KiB: a long case goes first."""
    monkeypatch.setattr(fuzz_corpus, "_FOLDER", tmp_path / "corpus")
    assert kept_cases("header") == []
    assert keep_cases("header", [b"long one", b"\0", b"", b"\0", bytes(16 * 1024)]) == 3
    assert kept_cases("header") == [b"", b"\0", b"long one"]


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_every_target_has_cases_that_reach_more_code(target: str) -> None:
    """Found by Atheris; none of them is a finding still (test_fuzz_targets.py runs them)."""
    assert len(kept_cases(target)) >= 5
