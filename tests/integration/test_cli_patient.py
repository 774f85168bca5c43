"""What administrators say about patients on the command line."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from builders.clock import FakeClock
from builders.engines import storage_table
from builders.index import NOON, build_index, received
from builders.node import run_dicom_node
from dicom_node.cli.patient import named, patient_key
from storage.records import PatientKey

KANJI = "Yamada^Tarou=山田^太郎=やまだ^たろう"
OLD = PatientKey(patient_id="99", issuer="")


@pytest.fixture
def config(tmp_path: Path) -> tuple[str, str]:
    """Of a node with a study of today, one under an older ID, and one under a third that contradicts."""
    index = build_index(tmp_path, FakeClock())
    earlier = NOON - timedelta(days=30)
    index.record_received(
        [
            received("1.1", patient_name=KANJI, sex="M"),
            received("1.2", patient_name="YAMADA^TAROU", sex="M", patient=OLD, acquired_at=earlier),
            received("1.3", patient=PatientKey(patient_id="7", issuer=""), acquired_at=earlier),
        ]
    )
    index.close()
    path = tmp_path / "node.toml"
    path.write_text(f'[node]\ndata_dir = "{tmp_path}"\n{storage_table(tmp_path)}')
    return ("--config", str(path))


def test_a_merge_is_said_shown_and_taken_back(config: tuple[str, str]) -> None:
    """With who said it and when."""
    merged = run_dicom_node(*config, "patient", "merge", "4711@CITY", "99")
    assert merged.returncode == 0, merged.stderr
    assert "dicom-node study retry" in merged.stdout
    shown = json.loads(run_dicom_node(*config, "patient", "show", "99", "--json").stdout)
    assert shown["same_person"] == [{"patient_id": "4711", "issuer": "CITY"}]
    assert shown["merges"][0]["made_by"]
    assert run_dicom_node(*config, "patient", "unmerge", "99", "4711@CITY").returncode == 0
    text = run_dicom_node(*config, "patient", "show", "4711").stdout
    assert "undone by" in text
    assert KANJI in text


def test_a_contradiction_is_printed_and_refused_unless_it_is_said(config: tuple[str, str]) -> None:
    """Both studies are shown with what they say; nothing is changed before."""
    refused = run_dicom_node(*config, "patient", "merge", "4711@CITY", "7")
    assert refused.returncode == 1
    assert "sex and name:" in refused.stdout
    assert "--although-contradicting" in refused.stderr
    assert "Doe" not in refused.stderr
    assert not json.loads(run_dicom_node(*config, "patient", "show", "7", "--json").stdout)["merges"]
    said = run_dicom_node(*config, "patient", "merge", "4711@CITY", "7", "--although-contradicting")
    assert (said.returncode, "sex and name:" in said.stdout) == (0, True)
    assert "whatever else contradicts is refused" in said.stdout
    shown = run_dicom_node(*config, "patient", "show", "7").stdout
    assert f"waives sex and name: {KANJI}, born 19500102, sex M / Doe^Jane, born 19500102, sex F" in shown
    (merge,) = json.loads(run_dicom_node(*config, "patient", "show", "7", "--json").stdout)["merges"]
    assert merge["waives"][0]["other_said"]["patient_name"] == "Doe^Jane"


def test_a_study_is_assigned_and_taken_back(config: tuple[str, str]) -> None:
    """By its UID."""
    assert run_dicom_node(*config, "patient", "assign", "1.2", "4711@CITY").returncode == 0
    shown = json.loads(run_dicom_node(*config, "patient", "show", "4711", "--json").stdout)
    assert [study["study_instance_uid"] for study in shown["studies"]] == ["1.1", "1.2"]
    assert run_dicom_node(*config, "patient", "unassign", "1.2").returncode == 0
    assert run_dicom_node(*config, "patient", "unassign", "1.2").returncode == 1


def test_an_unknown_patient_ends_with_1_and_says_where_to_look(config: tuple[str, str]) -> None:
    """Without a traceback."""
    done = run_dicom_node(*config, "patient", "merge", "4711", "99")
    assert done.returncode == 1
    assert "dicom-node patient show" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_held_study_is_shown_everywhere_and_released(config: tuple[str, str], tmp_path: Path) -> None:
    """Alert on top of `status`, listed by its state, decided by a number."""
    index = build_index(tmp_path, FakeClock())
    index.record_received([received("1.1", 2, patient_name="Roe^Jane")])
    index.close()
    assert run_dicom_node(*config, "status").stdout.startswith("ALERT: 1 study names two patients")
    assert "1.1" in run_dicom_node(*config, "study", "list", "--state", "held").stdout
    shown = run_dicom_node(*config, "study", "show", "1.1").stdout
    assert f"1: 4711@CITY, {KANJI}, born 19500102, sex M, 1 object, used" in shown
    assert "2: 4711@CITY, Roe^Jane, born 19500102, sex F, 1 object, kept and not used" in shown
    assert run_dicom_node(*config, "study", "release", "1.1", "3").returncode == 1
    assert run_dicom_node(*config, "study", "release", "1.1").returncode == 2
    released = run_dicom_node(*config, "study", "release", "1.1", "2")
    assert released.returncode == 0
    assert "taken: 2: 4711@CITY, Roe^Jane, born 19500102, sex F, 1 object" in released.stdout
    shown = json.loads(run_dicom_node(*config, "study", "show", "1.1", "--json").stdout)
    assert (shown["state"], shown["demographics"]["patient_name"]) == ("receiving", "Roe^Jane")


def test_lists_and_pages_show_names_with_all_their_groups(config: tuple[str, str]) -> None:
    """Ideographic and phonetic too."""
    assert f"4711@CITY, {KANJI}" in run_dicom_node(*config, "study", "show", "1.1").stdout
    listed = json.loads(run_dicom_node(*config, "study", "list", "--json").stdout)["studies"]
    assert KANJI in [study["demographics"]["patient_name"] for study in listed]


@pytest.mark.parametrize("text", ["4711", "4711@CITY", "a@b@", "a@b@CITY"])
def test_a_patient_is_written_as_it_is_read(text: str) -> None:
    """Also an ID with an @ in it."""
    assert named(patient_key(text)) == text
