"""What the pipeline finds in one phantom study, by way of DICOM files."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path

from pipeline.engine import Engine
from pipeline.findings import Analysis
from pipeline.phantom import Identity, PhantomStudy, StudyLabel, write_dicom
from pipeline.run import analyse_with
from pipeline.study import StudyFiles


def analysed_study(engine: Engine, study: PhantomStudy, *, uid_seed: str) -> Analysis:
    """The study written as DICOM, read back and analysed without earlier ones; arrays of its own shape.

    Raises:
        PipelineError: It is refused.
    """
    label = StudyLabel(identity=Identity(), study_date_time=datetime(2020, 3, 11, 9, 30, tzinfo=UTC), uid_seed=uid_seed)
    with tempfile.TemporaryDirectory() as folder:
        paths = write_dicom(study, Path(folder), label=label)
        files = StudyFiles(study_instance_uid=label.study_uid, acquired_at=label.study_date_time, paths=paths)
        return analyse_with(engine, files, [], on_progress=lambda *_: None)
