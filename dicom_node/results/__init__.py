"""DICOM objects and files made from findings."""

from dicom_node.results.context import Predecessor, ResultContext, SrClass, predecessor_from_folder
from dicom_node.results.errors import (
    InconsistentAnalysisError,
    ResultsError,
    SourceImageError,
    UnreadableResultError,
    UnwritableResultError,
)
from dicom_node.results.write import read_known_lesions, write_result_set

__all__ = [
    "InconsistentAnalysisError",
    "Predecessor",
    "ResultContext",
    "ResultsError",
    "SourceImageError",
    "SrClass",
    "UnreadableResultError",
    "UnwritableResultError",
    "predecessor_from_folder",
    "read_known_lesions",
    "write_result_set",
]
