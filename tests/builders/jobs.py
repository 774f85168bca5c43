"""Jobs as the worker hands them to the process of an attempt."""

from datetime import UTC, datetime

from dicom_node.job_records import JobSpec, PriorSpec, StudySpec
from dicom_node.results.plan import ResultPlan


def job(current: StudySpec, *priors: StudySpec) -> JobSpec:
    """A job over these studies, with the bundled weights on the CPU."""
    return JobSpec(
        study=current,
        priors=tuple(PriorSpec(study=prior, result_folder=None) for prior in priors),
        refused_priors=(),
        revision=1,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        device="cpu",
        threads=1,
        model_pack=None,
        results=ResultPlan(),
        device_serial_number="1",
        institution="",
        predecessor=None,
    )
