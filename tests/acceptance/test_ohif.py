"""The viewer that radiologists have shows the results: OHIF in headless Chromium, by the harness beside the project."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from builders.result_plans import NO_FINDING, WITH_PRIORS
from builders.results import ResultShelf

pytestmark = pytest.mark.slow

HARNESS = Path(__file__).resolve().parents[2].parent / "shared" / "accept" / "accept.sh"
WITHIN_S = 560


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> ResultShelf:
    """Written result sets."""
    return ResultShelf(tmp_path_factory.mktemp("results"))


def opened_in_ohif(folder: Path) -> set[str]:
    """The results that the viewer showed, by file name without suffix; fails on an error that nobody can explain."""
    installed = Path(os.environ.get("ACCEPT_DEPS", HARNESS.parent / "deps"))
    if not HARNESS.exists():
        pytest.skip("the acceptance harness is not beside the project: expected shared/accept")
    if not (installed / "venv" / "bin" / "python").exists():
        pytest.skip("the acceptance harness is not installed: run its install.sh, name its folder in ACCEPT_DEPS")
    out = folder / "accept"
    command = [str(HARNESS), "--ohif", "--skip", "pixelmed", "--out", str(out), str(folder / "ct"), str(folder / "out")]
    environment = os.environ | {"ACCEPT_DEPS": str(installed)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=WITHIN_S)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    cells = json.loads((out / "report.json").read_text(encoding="utf-8"))["cells"]
    return {name for name, outcomes in cells.items() if str(outcomes.get("ohif", "")).startswith("ok")}


def test_ohif_shows_report_and_segmentations_of_a_follow_up(shelf: ResultShelf) -> None:
    """Measurements are placed, voxels counted equal, no viewport is blank."""
    assert opened_in_ohif(shelf.folder(WITH_PRIORS)) == {"sr", "seg-lungs", "seg-lesions", "report"}


def test_ohif_shows_a_study_without_findings(shelf: ResultShelf) -> None:
    """The lungs and the sentence that nothing was found."""
    assert opened_in_ohif(shelf.folder(NO_FINDING)) == {"sr", "seg-lungs", "report"}
