"""What the demo shows of a study as it goes through the node."""

from pathlib import Path

from builders.clock import FakeClock
from builders.index import build_index, received
from dicom_node.demo.follow import ENDS, PHASES, follow_study
from storage.lifecycle import State
from storage.records import PatientKey


def test_every_state_is_a_phase_or_an_end() -> None:
    """And none is both."""
    assert PHASES.keys() | ENDS == set(State)
    assert not PHASES.keys() & ENDS


def test_a_study_of_two_patients_ends_as_held(tmp_path: Path) -> None:
    """Nobody decides in a demo whose it is."""
    index = build_index(tmp_path, FakeClock())
    somebody_else = PatientKey(patient_id="9999", issuer="CITY")
    index.record_received([received(), received(number=2, patient=somebody_else, patient_name="Roe^Richard")])
    (standing,) = follow_study(index, tmp_path, "1.2.3", within_s=0)
    assert (standing.phase, standing.fraction) == ("Ended as held", 1.0)
