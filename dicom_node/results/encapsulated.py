"""The report for people as a DICOM object (Encapsulated PDF Storage, PS3.3 A.45.1)."""

from typing import Final

from highdicom.sr import CodedConcept
from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedPDFStorage

from dicom_node.results import codes
from dicom_node.results.acquisition import acquisition_date_time
from dicom_node.results.context import ResultContext
from dicom_node.results.derived_object import ObjectPlan, instance_references, new_object
from dicom_node.results.key_images import key_images
from dicom_node.results.page.sheet import TITLE, report_pdf
from dicom_node.results.sr_groups import ReportMaterial
from dicom_node.results.uids import ResultUids

PLAN: Final = ObjectPlan(kind="pdf", sop_class_uid=EncapsulatedPDFStorage, modality="DOC", title="AI report")


def build_pdf(material: ReportMaterial, *, context: ResultContext, uids: ResultUids) -> Dataset:
    """The page, its title, and the images that it shows."""
    pdf = report_pdf(material.analysis, material.images, context)
    made = new_object(PLAN, material, context=context, uids=uids)
    made.ConversionType = "WSD"
    made.AcquisitionDateTime = acquisition_date_time(material.images.first)
    made.BurnedInAnnotation = "YES"
    made.RecognizableVisualFeatures = "NO"
    made.DocumentTitle = TITLE
    made.ConceptNameCodeSequence = [CodedConcept.from_code(codes.IMAGING_REPORT)]
    made.VerificationFlag = "UNVERIFIED"
    made.SourceInstanceSequence = instance_references(material.images, key_images(material.analysis))
    made.MIMETypeOfEncapsulatedDocument = "application/pdf"
    made.EncapsulatedDocument = pdf
    made.EncapsulatedDocumentLength = len(pdf)
    return made


def pdf_of(made: Dataset) -> bytes:
    """The page that an object holds."""
    return bytes(made.EncapsulatedDocument[: int(made.EncapsulatedDocumentLength)])
