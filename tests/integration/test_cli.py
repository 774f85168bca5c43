"""The command line as scripts and people call it."""

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from builders.clock import FakeClock
from builders.deadline import until
from builders.engines import storage_table
from builders.index import build_index, received
from builders.instances import ct_instance
from builders.listener_process import listener_process
from builders.node import NodeProcess, run_dicom_node
from builders.ports import free_port
from dicom_node.folders import find_studies
from pipeline.choose import choose_series

COMMANDS = ("run", "listen", "work", "demo", "infer", "check", "status", "train", "phantom")
STUDY_COMMANDS = ("list", "show", "choose", "complete", "retry", "resend", "release", "discard")
PATIENT_COMMANDS = ("show", "merge", "unmerge", "assign", "unassign")


def _configuration(folder: Path) -> Path:
    """A configuration whose data folder is `folder`."""
    path = folder / "node.toml"
    path.write_text(f'[node]\ndata_dir = "{folder}"\n{storage_table(folder)}')
    return path


@pytest.mark.parametrize(
    "command",
    [(name,) for name in COMMANDS]
    + [("study", name) for name in STUDY_COMMANDS]
    + [("patient", name) for name in PATIENT_COMMANDS]
    + [("ae", "test")],
)
def test_every_command_explains_itself(command: tuple[str, ...]) -> None:
    """Help costs no heavy import and ends with 0."""
    done = run_dicom_node(*command, "--help", timeout_s=20)

    assert done.returncode == 0
    assert f"dicom-node {' '.join(command)}" in done.stdout


def test_the_version_is_that_of_the_distribution() -> None:
    """Also beside a configuration that cannot be read: it is asked for when something is wrong."""
    done = run_dicom_node("--version", "--config", "missing.toml", timeout_s=20)

    assert (done.returncode, done.stdout) == (0, f"dicom-node {version('dicom-node')}\n")


@pytest.mark.parametrize(
    "arguments", [("nonsense",), ("infer",), ("study", "show"), ("demo", "--out"), ("status", "-x")]
)
def test_wrong_usage_ends_with_2_and_says_what_is_wrong(arguments: tuple[str, ...]) -> None:
    """Nothing goes to stdout, which scripts parse."""
    done = run_dicom_node(*arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert "Error" in done.stderr


def test_all_mistakes_of_a_configuration_are_told_at_once_and_end_with_2(tmp_path: Path) -> None:
    """One round of correcting is enough."""
    path = tmp_path / "node.toml"
    path.write_text('[node]\nae_title = "FAR TOO LONG A TITLE"\n[listen]\nprot = 104\n')

    done = run_dicom_node("--config", str(path), "check")

    assert done.returncode == 2
    assert "[node].ae_title: " in done.stderr
    assert "[listen].prot: is not a setting; did you mean port?" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.sqlite
def test_a_node_that_never_ran_is_named_as_such_and_ends_with_1(tmp_path: Path) -> None:
    """No index is made by looking."""
    done = run_dicom_node("--config", str(_configuration(tmp_path)), "status")

    assert done.returncode == 1
    assert "start the node once" in done.stderr
    assert not (tmp_path / "index.sqlite").exists()


def test_an_unknown_study_ends_with_1_and_without_traceback(tmp_path: Path) -> None:
    """What is wrong goes to stderr."""
    build_index(tmp_path, FakeClock())

    done = run_dicom_node("--config", str(_configuration(tmp_path)), "study", "show", "1.2.3", "--json")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def test_a_study_is_completed_by_an_operator_and_shown_with_its_history(tmp_path: Path) -> None:
    """The way an administrator moves a study that waits."""
    build_index(tmp_path, FakeClock()).record_received([received("1.2.3")])
    config = ("--config", str(_configuration(tmp_path)))

    assert run_dicom_node(*config, "study", "complete", "1.2.3").returncode == 0

    shown = json.loads(run_dicom_node(*config, "study", "show", "1.2.3", "--json").stdout)
    assert shown["state"] == "waiting_for_priors"
    assert shown["history"][-1]["event"] == "completed_by_operator"


def test_a_step_that_the_life_of_a_study_does_not_have_is_refused(tmp_path: Path) -> None:
    """Retrying what was never run makes no sense."""
    build_index(tmp_path, FakeClock()).record_received([received("1.2.3")])

    done = run_dicom_node("--config", str(_configuration(tmp_path)), "study", "retry", "1.2.3")

    assert done.returncode == 1
    assert "study show" in done.stderr


def test_lists_are_one_json_object_for_scripts(tmp_path: Path) -> None:
    """The same studies that people see as a table."""
    build_index(tmp_path, FakeClock()).record_received([received("1.2.3"), received("1.2.4")])

    done = run_dicom_node("--config", str(_configuration(tmp_path)), "study", "list", "--json")

    assert {study["study_instance_uid"] for study in json.loads(done.stdout)["studies"]} == {"1.2.3", "1.2.4"}


def test_status_for_scripts_names_every_state(tmp_path: Path) -> None:
    """A monitoring script finds each key from the first day on."""
    build_index(tmp_path, FakeClock())

    done = run_dicom_node("--config", str(_configuration(tmp_path)), "status", "--json")

    status = json.loads(done.stdout)
    assert status["studies"]["delivered"] == 0
    assert status["disk"]["free_bytes"] > 0


def test_check_says_what_it_looked_at_and_ends_with_1_when_something_is_wrong(tmp_path: Path) -> None:
    """A data folder that is missing is found before the first study."""
    config = tmp_path / "node.toml"
    config.write_text(f'[node]\ndata_dir = "{tmp_path}/absent/data"\n')

    done = run_dicom_node("--config", str(config), "check", "--json")

    report = json.loads(done.stdout)
    outcomes = {check["subject"]: check["outcome"] for check in report["checks"]}
    assert (done.returncode, report["passed"]) == (1, False)
    assert outcomes["data folder"] == "failed"
    assert outcomes["configuration"] == outcomes["packages"] == "passed"


def test_infer_refuses_a_single_slice_with_the_reason(tmp_path: Path) -> None:
    """A refusal is exit code 1, one plain sentence, no result."""
    ct_instance(1).save_as(tmp_path / "1.dcm", enforce_file_format=True)

    done = run_dicom_node("infer", str(tmp_path / "1.dcm"), "--out", str(tmp_path / "out"))

    assert done.returncode == 1
    assert "refused: " in done.stdout
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("out/*/sr.dcm"))


def test_infer_writes_nothing_beside_the_images(tmp_path: Path) -> None:
    """Studies in folders named by their UID, results below the same folder: nothing is analysed, every file is there."""
    folder = tmp_path / ct_instance(1).StudyInstanceUID
    folder.mkdir()
    for number in range(1, 4):
        ct_instance(number).save_as(folder / f"{number}.dcm", enforce_file_format=True)
    before = {path: path.read_bytes() for path in folder.iterdir()}

    done = run_dicom_node("infer", str(tmp_path), "--out", str(tmp_path))

    assert done.returncode == 1
    assert "holds images that are read; choose another --out" in done.stderr
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_infer_refuses_an_earlier_study_of_another_patient(tmp_path: Path) -> None:
    """Never the wrong patient, whoever asks for it."""
    for name, patient_id in (("now", "P1"), ("before", "P2")):
        (tmp_path / name).mkdir()
        dataset = ct_instance(1, study=f"1.2.{patient_id[1]}", PatientID=patient_id)
        dataset.save_as(tmp_path / name / "1.dcm", enforce_file_format=True)

    done = run_dicom_node(
        "infer", str(tmp_path / "now"), "--prior", str(tmp_path / "before"), "--out", str(tmp_path / "out")
    )

    assert done.returncode == 1
    assert "another patient" in done.stderr


def test_listening_imports_neither_torch_nor_the_pipeline() -> None:
    """A CUDA fault or a bad weight file can never refuse an association."""
    code = "import sys, dicom_node.cli, dicom_node.listen.server; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert "pynetdicom" in loaded
    assert not loaded & {"torch", "SimpleITK", "highdicom", "scipy", "matplotlib"}


def test_a_running_listener_has_not_loaded_torch(tmp_path: Path) -> None:
    """Seen from outside, in the memory map of the process that takes associations."""
    with listener_process(tmp_path, free_port()) as process:
        mapped = Path(f"/proc/{process.pid}/maps").read_text()

    assert "pysqlite3" in mapped
    assert "libtorch" not in mapped


def test_a_running_node_shows_both_processes_alive(tmp_path: Path) -> None:
    """What a monitoring script asks first."""

    def both_alive() -> bool:
        done = run_dicom_node("--config", str(node.config_path), "status", "--json")
        processes = json.loads(done.stdout)["processes"] if done.returncode == 0 else []
        alive = {process["heartbeat"]["process"] for process in processes if process["is_alive"]}
        return alive == {"listen", "work"}

    with NodeProcess(folder=tmp_path) as node:
        assert until(both_alive, within_s=60, what="both processes have left a sign of life")


def test_a_phantom_patient_is_made_as_a_scanner_would_send_it(tmp_path: Path) -> None:
    """The path of each study is told."""
    size = ("--matrix", "64", "--slice-spacing", "10")
    done = run_dicom_node("phantom", "--out", str(tmp_path), "--seed", "3", "--days", "9,5", *size)

    assert done.stdout.splitlines() == [str(tmp_path / "day-5"), str(tmp_path / "day-9")]
    assert len(find_studies([tmp_path]).studies) == 2


def test_a_phantom_patient_can_be_made_as_enhanced_ct(tmp_path: Path) -> None:
    """A scout and three series, each one file, which the pipeline reads."""
    size = ("--matrix", "64", "--slice-spacing", "10")
    run_dicom_node("phantom", "--out", str(tmp_path), "--days", "9", "--multi-frame", *size)

    files = sorted((tmp_path / "day-9").iterdir())
    choice = choose_series(files)
    assert len(files) == 4
    assert choice.slice_headers[0].frame_number is not None
    assert "lung kernel LUNG" in choice.reason


@pytest.mark.parametrize(
    "wrong", [("--days", "monday"), ("--days", "9,nan"), ("--days", "1e9"), ("--course", "plague")]
)
def test_a_phantom_that_cannot_be_is_wrong_usage(tmp_path: Path, wrong: tuple[str, str]) -> None:
    """The option is named."""
    done = run_dicom_node("phantom", "--out", str(tmp_path), *wrong)

    assert done.returncode == 2
    assert wrong[0] in done.stderr


@pytest.mark.parametrize("wrong", ["nonsense = 1", '[comparison]\nmodels = ["nonsense"]'])
def test_a_wrong_training_configuration_is_wrong_usage(tmp_path: Path, wrong: str) -> None:
    """Nothing is rendered before the whole file is understood."""
    config = tmp_path / "training.toml"
    config.write_text(f'cache = "cache"\n{wrong}\n')

    done = run_dicom_node("train", "--config", str(config), "--out", str(tmp_path / "pack"))

    assert done.returncode == 2
    assert "nonsense" in done.stderr
    assert not (tmp_path / "cache").exists()
