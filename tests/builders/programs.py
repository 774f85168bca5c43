"""Runs the validators of strangers."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

KNOWN_FALSE = (
    re.compile(r"Unrecognized defined term = <99"),
    re.compile(r"AccessionNumber> IE <(Study|Series)> versus <(Study|Series)>"),
)
"""Private coding schemes are legal (PS3.16 8.2); dcentvfy files Accession Number of documents under another entity."""


def complaints(program: str, *arguments: str | Path) -> list[str]:
    """Errors and warnings that a validator prints, without those known to be false."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed: apt-get install dicom3tools dcmtk")
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, check=False, timeout=60)
    lines = (done.stdout + done.stderr).decode("utf-8", "replace").splitlines()
    found = [line for line in lines if line.startswith(("Error", "Warning", "E: ", "W: ", "F: "))]
    return [line for line in found if not any(pattern.search(line) for pattern in KNOWN_FALSE)]
