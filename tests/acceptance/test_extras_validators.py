"""Strangers accept PDF, captures, presentation state and key objects."""

import re
import shutil
import subprocess
import unicodedata
from pathlib import Path

import pytest

from builders.analysis import StudyPlan
from builders.result_plans import STUDIES
from builders.results import ResultShelf
from dicom_node.results.plan import ResultPlan

EVERYTHING = ResultPlan(pdf=True, capture=True, presentation_state=True, key_objects=True)
OBJECTS = ("report.dcm", "capture-*.dcm", "presentation-state.dcm", "key-objects.dcm")
KNOWN_FALSE = (
    re.compile(r"AccessionNumber> IE <(Study|Series)> versus <(Study|Series)>"),
    re.compile(r"ContributingEquipmentSequence.*DeviceUID.*Attribute is not present in standard DICOM IOD"),
)
"""dcentvfy files Accession Number of documents under another entity; IHE AIR asks for a Device UID in the Contributing
Equipment Sequence, where dicom3tools' tables of 2022 do not list it."""


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> ResultShelf:
    """Written result sets."""
    return ResultShelf(tmp_path_factory.mktemp("results"))


def run(program: str, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    """Run a program of a stranger, or say how to get it."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed: apt-get install dicom3tools dcmtk poppler-utils")
    return subprocess.run([program, *map(str, arguments)], capture_output=True, check=False, timeout=60)


def complaints(program: str, *arguments: str | Path) -> list[str]:
    """Errors and warnings that a validator prints, without those known to be false."""
    done = run(program, *arguments)
    lines = (done.stdout + done.stderr).decode("utf-8", "replace").splitlines()
    found = [line for line in lines if line.startswith(("Error", "Warning", "E: ", "W: ", "F: "))]
    return [line for line in found if not any(pattern.search(line) for pattern in KNOWN_FALSE)]


@pytest.mark.parametrize("study", STUDIES.values(), ids=STUDIES.keys())
def test_dicom3tools_find_nothing(shelf: ResultShelf, study: StudyPlan) -> None:
    """Every attribute is as its IOD says, patient and study are those of the images."""
    folder = shelf.folder(study, plan=EVERYTHING)
    made = [path for pattern in OBJECTS for path in sorted((folder / "out").glob(pattern))]
    assert len(made) >= 4
    for path in made:
        assert complaints("dciodvfy", "-new", path) == []
        assert complaints("dcentvfy", folder / "ct" / "000.dcm", path) == []


def test_dcmtk_gives_the_page_back(shelf: ResultShelf, tmp_path: Path) -> None:
    """To the byte."""
    out = shelf.folder(StudyPlan(), plan=EVERYTHING) / "out"
    assert run("dcm2pdf", out / "report.dcm", tmp_path / "page.pdf").returncode == 0
    assert (tmp_path / "page.pdf").read_bytes() == (out / "report.pdf").read_bytes()


def test_dcmtk_applies_the_presentation_state(shelf: ResultShelf, tmp_path: Path) -> None:
    """To the image that shows the consolidation."""
    folder = shelf.folder(StudyPlan(), plan=EVERYTHING)
    picture = tmp_path / "slice.pgm"
    state, image = folder / "out" / "presentation-state.dcm", folder / "ct" / "013.dcm"
    assert complaints("dcmp2pgm", "-p", state, image, picture) == []
    assert picture.read_bytes().startswith(b"P5")


def test_poppler_reads_names_written_from_right_to_left(shelf: ResultShelf) -> None:
    """Letters in the order in which they are spoken, in their plain forms."""
    for name in ("קבאני^לנזאר", "قباني^لنزار"):
        plan = StudyPlan(change_header=_Renamed(name))
        pdf = shelf.folder(plan, plan=ResultPlan()) / "out" / "report.pdf"
        text = unicodedata.normalize("NFKC", run("pdftotext", pdf, "-").stdout.decode())
        assert all(part in text for part in name.split("^"))


class _Renamed:
    """Gives the images another patient's name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, image: object) -> None:
        image.SpecificCharacterSet = "ISO_IR 192"  # type: ignore[attr-defined]
        image.PatientName = self._name  # type: ignore[attr-defined]
