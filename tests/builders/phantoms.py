"""Small phantom patients and studies."""

from datetime import UTC, datetime
from functools import cache

from pipeline.phantom import (
    Course,
    Identity,
    LookAlike,
    PhantomPatient,
    PhantomStudy,
    Scan,
    StudyLabel,
    build_patient,
    render_study,
)

SMALL_SCAN = Scan(matrix=80, fov_mm=400.0, slice_spacing_mm=8.0)
LABEL = StudyLabel(
    identity=Identity(), study_date_time=datetime(2020, 3, 11, 9, 30, tzinfo=UTC), uid_seed="phantom tests"
)


@cache
def patient_with(course: Course) -> PhantomPatient:
    """One patient per course, built once."""
    return build_patient(4, course=course)


@cache
def patient_having(*look_alikes: LookAlike) -> PhantomPatient:
    """The same patient without the disease, with these look-alikes alone, built once."""
    return build_patient(4, course=Course.HEALTHY, look_alikes=frozenset(look_alikes))


@cache
def small_study(course: Course, day: float = 8.0) -> PhantomStudy:
    """A coarse study, rendered once."""
    return render_study(patient_with(course), day, scan=SMALL_SCAN)
