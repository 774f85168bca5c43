"""Chest CT phantoms: made-up patients, scanned on made-up days, with the truth about their lungs and lesions."""

from pipeline.phantom.dicom_files import SeriesLabel, write_dicom, write_multi_frame_dicom
from pipeline.phantom.identity import Identity, StudyLabel
from pipeline.phantom.kinetics import Course
from pipeline.phantom.look_alikes import LookAlike
from pipeline.phantom.multi_frame import build_multi_frame
from pipeline.phantom.paint import Painted, paint_lesions, paint_lesions_over_time
from pipeline.phantom.patient import PhantomPatient, build_patient
from pipeline.phantom.render import LesionTruth, PhantomStudy, render_study
from pipeline.phantom.scan import Kernel, Scan
from pipeline.phantom.scan_frame import ScanFrame
from pipeline.phantom.stored import StoredGeometry
from pipeline.phantom.whole_study import WrittenStudy, write_coronal, write_scout, write_whole_study

__all__ = [
    "Course",
    "Identity",
    "Kernel",
    "LesionTruth",
    "LookAlike",
    "Painted",
    "PhantomPatient",
    "PhantomStudy",
    "Scan",
    "ScanFrame",
    "SeriesLabel",
    "StoredGeometry",
    "StudyLabel",
    "WrittenStudy",
    "build_multi_frame",
    "build_patient",
    "paint_lesions",
    "paint_lesions_over_time",
    "render_study",
    "write_coronal",
    "write_dicom",
    "write_multi_frame_dicom",
    "write_scout",
    "write_whole_study",
]
