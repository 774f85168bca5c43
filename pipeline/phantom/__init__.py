"""Chest CT phantoms: made-up patients, scanned on made-up days, with the truth about their lungs and lesions."""

from pipeline.phantom.kinetics import Course
from pipeline.phantom.patient import PhantomPatient, build_patient
from pipeline.phantom.render import LesionTruth, PhantomStudy, render_study
from pipeline.phantom.scan import Kernel, Scan

__all__ = ["Course", "Kernel", "LesionTruth", "PhantomPatient", "PhantomStudy", "Scan", "build_patient", "render_study"]
