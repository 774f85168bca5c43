"""What an attempt checks before it computes."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from builders.jobs import job
from dicom_node.job import run_job
from dicom_node.job_inputs import verify_inputs
from dicom_node.job_records import InputFile, OutcomeKind, StudySpec
from pipeline.errors import UnreadableStudyError


def study(folder: Path, content: bytes = b"slice") -> StudySpec:
    """A study of one file."""
    path = folder / f"{sha256(content).hexdigest()}.dcm"
    path.write_bytes(content)
    inputs = (InputFile(path=path, sha256=sha256(content).hexdigest()),)
    return StudySpec(study_instance_uid="1.2.3", acquired_at=None, inputs=inputs)


def test_unchanged_files_pass(tmp_path: Path) -> None:
    """What still has its hash is used."""
    verify_inputs(job(study(tmp_path), study(tmp_path, b"earlier")))


def test_a_flipped_bit_stops_the_attempt(tmp_path: Path) -> None:
    """A file that changed on disk is never read as the acknowledged one."""
    current = study(tmp_path)
    current.inputs[0].path.write_bytes(b"slicf")
    with pytest.raises(UnreadableStudyError, match="changed on disk"):
        verify_inputs(job(current))


def test_a_missing_file_of_an_earlier_study_stops_the_attempt(tmp_path: Path) -> None:
    """Priors are held to the same."""
    earlier = study(tmp_path, b"earlier")
    earlier.inputs[0].path.unlink()
    with pytest.raises(UnreadableStudyError, match="cannot be read"):
        verify_inputs(job(study(tmp_path), earlier))


def test_a_study_that_is_no_dicom_is_not_retried(tmp_path: Path) -> None:
    """The outcome has a plain reason, and trying again would not help."""
    job(replace(study(tmp_path), acquired_at=None)).write(tmp_path)
    outcome = run_job(tmp_path)
    assert outcome.kind in {OutcomeKind.REFUSED, OutcomeKind.FAILED}
    assert not outcome.retryable
    assert outcome.reason
