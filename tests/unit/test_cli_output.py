"""What commands say."""

from pathlib import Path

import pytest

from config.errors import ConfigError, Problem
from dicom_node.cli.failures import exit_code_of, tell
from dicom_node.cli.output import paths_in_short
from dicom_node.cli.progress import PhaseProgress
from dicom_node.errors import NodeError
from dicom_node.wording import readable_size
from storage.errors import DiskFullError


class _BeingTestedError(NodeError):
    """Something is wrong; mend it."""


def test_a_wrong_configuration_is_wrong_usage_and_all_else_a_failed_operation() -> None:
    """Scripts tell them apart by the exit code."""
    wrong = ConfigError([Problem(key="[node].ae_title", problem="is missing")])

    assert exit_code_of(wrong) == 2
    assert [exit_code_of(failure) for failure in (_BeingTestedError(), DiskFullError(), ValueError())] == [1, 1, 1]


def test_an_expected_failure_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    """The docstring of the error is its message; stdout stays empty."""
    tell(_BeingTestedError())

    assert capsys.readouterr() == ("", "error: Something is wrong; mend it.\n")


def test_every_mistake_of_a_configuration_has_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Square brackets of a table are no markup."""
    tell(ConfigError([Problem(key="[node].a", problem="is missing"), Problem(key="[bold].b", problem="is missing")]))

    assert capsys.readouterr().err == "error: [node].a: is missing\nerror: [bold].b: is missing\n"


def test_a_defect_names_its_place_and_never_the_text_of_the_exception(capsys: pytest.CaptureFixture[str]) -> None:
    """Texts of foreign exceptions may quote a patient's data."""
    try:
        raise ValueError("Doe^Jane")  # noqa: TRY301  # a traceback is wanted
    except ValueError as failure:
        tell(failure)

    told = capsys.readouterr().err
    assert "ValueError < test_cli_output.py:" in told
    assert "Doe" not in told


def test_pictures_of_lesions_share_a_line() -> None:
    """Twenty of them would hide the report."""
    paths = [Path("/out/sr.dcm"), *(Path(f"/out/preview-lesion-{number:02d}.png") for number in (1, 2, 3))]

    assert paths_in_short(paths) == ["/out/sr.dcm", "/out/preview-lesion-*.png (3)"]


@pytest.mark.parametrize(("size_bytes", "text"), [(512, "512 B"), (1536, "1.5 KiB"), (5 * 1024**3, "5 GiB")])
def test_sizes_are_readable(size_bytes: int, text: str) -> None:
    """In powers of 1024."""
    assert readable_size(size_bytes) == text


def test_each_phase_that_is_over_leaves_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Also where stderr is no terminal, as in the log of a build."""
    with PhaseProgress() as progress:
        progress.begin("study 1 of 1")
        progress.show("Finding the lungs", 0.1)
        progress.show("Finding the lungs", 0.2)
        progress.show("Finding lesions", 0.6)

    lines = capsys.readouterr().err.splitlines()
    assert [line.rpartition(":")[0] for line in lines if ":" in line] == ["  Finding the lungs", "  Finding lesions"]
    assert "study 1 of 1" in lines


def test_a_phase_that_failed_is_not_told_as_done(capsys: pytest.CaptureFixture[str]) -> None:
    """The error follows on its own line."""
    with pytest.raises(_BeingTestedError), PhaseProgress() as progress:
        progress.show("Finding the lungs", 0.1)
        raise _BeingTestedError

    assert "Finding the lungs:" not in capsys.readouterr().err
