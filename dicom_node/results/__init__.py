"""DICOM objects and files made from findings."""

from dicom_node.results.context import Predecessor, ResultContext, predecessor_from_folder
from dicom_node.results.errors import (
    InconsistentAnalysisError,
    ResultsError,
    SourceImageError,
    UnreadableResultError,
    UnwritableResultError,
)
from dicom_node.results.plan import ResultPlan, SrClass, SrLayout
from dicom_node.results.write import read_known_lesions, write_result_set

__all__ = [
    "InconsistentAnalysisError",
    "Predecessor",
    "ResultContext",
    "ResultPlan",
    "ResultsError",
    "SourceImageError",
    "SrClass",
    "SrLayout",
    "UnreadableResultError",
    "UnwritableResultError",
    "predecessor_from_folder",
    "read_known_lesions",
    "write_result_set",
]
