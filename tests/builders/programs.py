"""Programs of strangers that read our results, or the reason why a test must do without."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

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
    options = [f"-Djdk.xml.{limit}=0" for limit in NO_XPATH_LIMITS]
    command = [java, *options, "-cp", str(PIXELMED_JAR), "com.pixelmed.validate.DicomSRValidator", str(report)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=300)
    return (done.stdout + done.stderr).decode("utf-8", "replace").splitlines()
