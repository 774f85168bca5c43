"""What commands say."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from builders.cli import run
from builders.clock import FakeClock
from builders.index import build_index, choosy, claimed_study, database_url, received, whole_result
from builders.zones import local_zone
from config.errors import ConfigError, Problem
from dicom_node.cli.app import app
from dicom_node.cli.failures import exit_code_of, tell
from dicom_node.cli.output import paths_in_short, print_table, table_of
from dicom_node.cli.progress import PhaseProgress
from dicom_node.controls import ESCAPED_CONTROLS
from dicom_node.errors import NodeError
from dicom_node.wording import readable_size
from storage.errors import DiskFullError
from storage.records import PatientKey


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


LONG_UID = f"2.25.{'190648' * 6}"


def test_a_table_in_a_pipe_has_a_row_on_each_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is cut and nothing goes on in the next line, whatever the terminal of the caller has."""
    monkeypatch.setenv("COLUMNS", "40")
    table = table_of("study", "why")
    table.add_row(LONG_UID, "a reason of some length " * 20)
    print_table(table)

    (row,) = [line for line in capsys.readouterr().out.splitlines() if "2.25" in line]
    assert LONG_UID in row
    assert row.count("a reason of some length") == 20


def test_a_table_on_a_terminal_goes_on_in_the_next_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not wider than that, and a UID can be read whole."""
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("FORCE_COLOR", "1")
    table = table_of("study", "why")
    table.add_row(LONG_UID, "a reason of some length")
    print_table(table)

    lines = re.sub("\x1b\\[[0-9;]*m", "", capsys.readouterr().out).splitlines()
    assert max(map(len, lines)) <= 40
    assert "".join(line.split("│")[1].strip() for line in lines if line.startswith("│")) == LONG_UID


def test_a_study_is_found_by_the_uid_that_the_list_shows(tmp_path: Path) -> None:
    """Also by a script that reads the list."""
    build_index(tmp_path, FakeClock()).record_received([received(LONG_UID)])
    (tmp_path / "node.toml").write_text(
        f'[node]\ndata_dir = "{tmp_path}"\n[storage]\ndatabase_url = "{database_url(tmp_path)}"\n'
    )
    listed = CliRunner().invoke(app, ["--config", str(tmp_path / "node.toml"), "study", "list"])
    (shown,) = re.findall(r"2\.25\.\S+", listed.output)
    found = CliRunner().invoke(app, ["--config", str(tmp_path / "node.toml"), "study", "show", shown])
    assert found.exit_code == 0
    assert LONG_UID in found.output


HOSTILE = "Doe\x9b2J\x9b31m^\x85Jane\u2028study 9\x7f"
"""With controls of eight bits, which Latin-1 has, and a line end of Unicode."""


@pytest.mark.parametrize("command", [("list",), ("show", "1.2.3")])
@pytest.mark.parametrize("as_json", [False, True])
def test_no_text_of_a_data_set_drives_the_terminal(tmp_path: Path, command: tuple[str, ...], as_json: bool) -> None:
    """It is shown as what it is, and a script reads what came."""
    build_index(tmp_path, FakeClock()).record_received([received(patient_name=HOSTILE)])
    (tmp_path / "node.toml").write_text(
        f'[node]\ndata_dir = "{tmp_path}"\n[storage]\ndatabase_url = "{database_url(tmp_path)}"\n'
    )
    shown = run(tmp_path / "node.toml", "study", *command, *(["--json"] if as_json else [])).stdout
    assert {letter for letter in shown if ord(letter) in ESCAPED_CONTROLS} == {"\n"}
    if as_json:
        said = json.loads(shown)
        assert said.get("studies", [said])[0]["demographics"]["patient_name"] == HOSTILE
    else:
        assert r"Doe\x9b2J\x9b31m^\x85Jane\u2028study 9\x7f" in shown


def test_a_study_says_of_what_is_sent_which_class_it_is(tmp_path: Path) -> None:
    """What stands by for a destination that declines the other is not being tried."""
    index = build_index(tmp_path, FakeClock())
    index.finish_succeeded(claimed_study(index), whole_result(), destinations=choosy("pacs"), why="1 lesion")
    (tmp_path / "node.toml").write_text(
        f'[node]\ndata_dir = "{tmp_path}"\n[storage]\ndatabase_url = "{database_url(tmp_path)}"\n'
    )
    shown = CliRunner().invoke(app, ["--config", str(tmp_path / "node.toml"), "study", "show", "1.2.3"]).output
    lines = shown.splitlines()
    assert "  Comprehensive 3D SR to pacs: waiting, 0 tries" in lines
    assert "  Enhanced SR to pacs: stands by" in lines


def test_a_test_message_that_reaches_nobody_has_failed(tmp_path: Path) -> None:
    """What is to be set is named with its table."""
    (tmp_path / "node.toml").write_text(f'[node]\ndata_dir = "{tmp_path}"\n')
    done = CliRunner().invoke(app, ["--config", str(tmp_path / "node.toml"), "alerts", "test"])
    assert done.exit_code == 1
    assert done.output == "neither [alerts].mail_host nor [alerts].webhook_url is set: nobody is told\n"


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


def test_a_plan_without_rules_says_that_every_study_is_kept(tmp_path: Path) -> None:
    """Nothing was looked at, so no number of studies is told."""
    build_index(tmp_path, FakeClock()).record_received([received()])
    file = tmp_path / "node.toml"
    file.write_text(f'[node]\ndata_dir = "{tmp_path}"\n')
    said = "no rule of [retention] is set: every study is kept\n"
    assert run(file, "retention", "plan").stdout == run(file, "retention", "plan", "--kept").stdout == said
    assert json.loads(run(file, "retention", "plan", "--kept", "--json").stdout)["studies"] == []


def test_instants_are_told_by_the_clock_of_the_machine_with_its_zone(tmp_path: Path) -> None:
    """As on the pages: whoever compares a history with the clock on the wall is not off by hours."""
    index = build_index(tmp_path, FakeClock())
    index.record_received([received(), received("1.9", patient=PatientKey(patient_id="99", issuer=""))])
    index.close()
    file = tmp_path / "node.toml"
    file.write_text(f'[node]\ndata_dir = "{tmp_path}"\n')
    with local_zone("Asia/Tokyo"):
        run(file, "patient", "merge", "4711@CITY", "99")
        assert "2026-01-02 21:00:00 JST  instance_arrived" in run(file, "study", "show", "1.2.3").stdout
        assert re.search(r"by \S+ at [\d-]+ [\d:]+ JST", run(file, "patient", "show", "4711@CITY").stdout)
