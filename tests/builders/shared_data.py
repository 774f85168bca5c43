"""Finds the real DICOM beside the project, or says clearly that it is absent."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def shared_data(name: str) -> Path:
    """Folder `name` of the real data; skips the test with the reason where it is absent."""
    folder = SHARED / name
    if not folder.exists():
        pytest.skip(f"real DICOM data not present: expected the folder shared/data/{name} beside the project")
    return folder
