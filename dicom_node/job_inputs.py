"""What was received must still be what is read."""

from dicom_node.job_records import JobSpec
from pipeline.errors import UnreadableStudyError
from storage.disk import sha256_of


def unreadable_input(name: str) -> UnreadableStudyError:
    """The error for a stored file that the disk does not give."""
    return UnreadableStudyError(f"the stored file {name} cannot be read: check the disk, then retry the study")


def verify_inputs(spec: JobSpec) -> None:
    """Check that every file of the study and of its earlier studies still is what was acknowledged.

    Raises:
        UnreadableStudyError: A file is gone or changed.
    """
    studies = (spec.study, *(prior.study for prior in spec.priors))
    for input_file in (input_file for study in studies for input_file in study.inputs):
        name = input_file.path.name
        try:
            digest = sha256_of(input_file.path)
        except OSError as exc:
            raise unreadable_input(name) from exc
        if digest != input_file.sha256:
            reason = f"the stored file {name} changed on disk: check the disk, send the study again"
            raise UnreadableStudyError(reason)
