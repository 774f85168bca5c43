"""Programs of strangers that read our results, or the reason why a test must do without."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

KNOWN_FALSE = (
    re.compile(r"Unrecognized defined term = <99"),
    re.compile(r"AccessionNumber> IE <(Study|Series)> versus <(Study|Series)>"),
    re.compile(r"ContributingEquipmentSequence.*DeviceUID.*Attribute is not present in standard DICOM IOD"),
)
"""Private coding schemes are legal (PS3.16 8.2); dcentvfy files Accession Number of documents under another entity;
IHE AIR asks for a Device UID in the Contributing Equipment Sequence, where dicom3tools' tables of 2022 do not list it."""

PIXELMED_JAR = Path("/usr/share/java/pixelmed.jar")
"""Of Debian's libpixelmed-java."""

NO_XPATH_LIMITS = ("xpathTotalOpLimit", "xpathExprOpLimit", "xpathExprGrpLimit")
"""PixelMed's templates exceed what Java 17 allows by default (JAXP0801003)."""


def program(name: str, install: str) -> str:
    """Path of a program beside this Python or on the path; skips the test, with how to install it, when there is none."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: {install}")
    return found


def run_dcmqi(name: str, *arguments: str | Path) -> None:
    """Run a program of dcmqi, the engine of 3D Slicer's QuantitativeReporting; it must succeed."""
    command = [program(name, "pip install dcmqi"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=120)
    assert done.returncode == 0, (done.stdout + done.stderr).decode("utf-8", "replace")[-2000:]


def pixelmed_lines(report: Path) -> list[str]:
    """What PixelMed, which knows the templates of PS3.16, says of a structured report."""
    java = program("java", "apt-get install default-jre-headless libpixelmed-java")
    if not PIXELMED_JAR.exists():
        pytest.skip("PixelMed is not installed: apt-get install libpixelmed-java")
    options = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", *(f"-Djdk.xml.{limit}=0" for limit in NO_XPATH_LIMITS)]
    command = [java, *options, "-cp", str(PIXELMED_JAR), "com.pixelmed.validate.DicomSRValidator", str(report)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=300)
    return (done.stdout + done.stderr).decode("utf-8", "replace").splitlines()


def complaints(validator: str, *arguments: str | Path) -> list[str]:
    """Errors and warnings that a validator prints, without those known to be false."""
    if shutil.which(validator) is None:
        pytest.skip(f"{validator} is not installed: apt-get install dicom3tools dcmtk")
    done = subprocess.run([validator, *map(str, arguments)], capture_output=True, check=False, timeout=60)
    lines = (done.stdout + done.stderr).decode("utf-8", "replace").splitlines()
    found = [line for line in lines if line.startswith(("Error", "Warning", "E: ", "W: ", "F: "))]
    return [line for line in found if not any(pattern.search(line) for pattern in KNOWN_FALSE)]
