"""A result set on disk with every kind of object that an outbox may send."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.uid import (
    UID,
    BasicTextSRStorage,
    EncapsulatedPDFStorage,
    EnhancedSRStorage,
    SecondaryCaptureImageStorage,
)

from builders.analysis import STUDY_UID, build_analysis, build_context
from dicom_node.results.write import write_result_set
from storage.records import ResultFile


def write_sendable(folder: Path) -> tuple[ResultFile, ...]:
    """A real report and real segmentations, with smaller reports, a capture and a PDF that only the network looks at."""
    made = write_result_set(build_analysis(folder / "ct"), build_context(), folder=folder / "out")
    wanted = [file for file in made if file.kind in {"sr", "seg-lungs", "seg-lesions"}]
    report = next(file.path for file in made if file.kind == "sr")
    return (*wanted, *_others(report, folder / "out"))


def study_uid_of(files: tuple[ResultFile, ...]) -> str:
    """Study Instance UID of a result set."""
    return str(dcmread(files[0].path, stop_before_pixels=True).StudyInstanceUID)


def _others(report: Path, folder: Path) -> Iterator[ResultFile]:
    """What is made from the report by changing class and content."""
    yield _variant(report, folder / "sr-enhanced.dcm", kind="sr", sop_class=EnhancedSRStorage)
    yield _variant(report, folder / "sr-basic-text.dcm", kind="sr", sop_class=BasicTextSRStorage)
    yield _variant(
        report, folder / "capture-001.dcm", kind="capture", sop_class=SecondaryCaptureImageStorage, change=_draw
    )
    yield _variant(report, folder / "report.dcm", kind="pdf", sop_class=EncapsulatedPDFStorage, change=_print)


def _variant(
    report: Path, path: Path, *, kind: str, sop_class: UID, change: Callable[[Dataset], None] = lambda _: None
) -> ResultFile:
    """An object of another class in the study of the report, in a series of its own."""
    dataset = dcmread(report)
    number = sum(path.name.encode())
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = sop_class
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(f"{STUDY_UID}.{number}.1")
    dataset.SeriesInstanceUID = f"{STUDY_UID}.{number}"
    change(dataset)
    dataset.save_as(path, enforce_file_format=True)
    file = ResultFile(kind=kind, path=path, sha256=sha256(path.read_bytes()).hexdigest())
    return replace(
        file,
        sop_class_uid=str(sop_class),
        sop_instance_uid=str(dataset.SOPInstanceUID),
        transfer_syntax_uid=str(dataset.file_meta.TransferSyntaxUID),
    )


def _draw(dataset: Dataset) -> None:
    """A picture of 8 by 8 in the place of the report (PS3.3 A.8.1)."""
    del dataset.ContentSequence
    dataset.Modality, dataset.ConversionType = "OT", "WSD"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
    dataset.Rows = dataset.Columns = 8
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    dataset.add_new("PixelData", "OB", np.arange(192, dtype=np.uint8).tobytes())


def _print(dataset: Dataset) -> None:
    """Bytes that begin as a PDF does in the place of the report (PS3.3 A.45.1)."""
    del dataset.ContentSequence
    dataset.Modality, dataset.MIMETypeOfEncapsulatedDocument = "DOC", "application/pdf"
    dataset.EncapsulatedDocument = b"%PDF-1.7\n%%EOF\n"
