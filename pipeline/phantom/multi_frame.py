"""Single-frame CT images of one series put together into one Enhanced CT image (PS3.3 A.38)."""

from collections.abc import Sequence

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import UID, EnhancedCTImageStorage, ExplicitVRLittleEndian

from pipeline.phantom.identity import derive_uid

_PER_IMAGE = (
    "SOPInstanceUID",
    "InstanceNumber",
    "ImageType",
    "AcquisitionNumber",
    "AcquisitionDate",
    "AcquisitionTime",
    "KVP",
    "SliceThickness",
    "ConvolutionKernel",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "RescaleIntercept",
    "RescaleSlope",
    "RescaleType",
    "WindowCenter",
    "WindowWidth",
    "BodyPartExamined",
    "PixelData",
)
"""What a single-frame image says at its top level and a multi-frame one in functional groups, or not at all."""

_FIELD_OF_VIEW_MM, _DETECTOR_MM = 500.0, 1040.0
"""A scanner of the usual size; the phantom's own geometry is that of its voxels."""


def build_multi_frame(images: Sequence[Dataset], *, sop_instance_uid: str) -> FileDataset:
    """One Enhanced CT image whose n-th frame is the n-th image; Explicit VR Little Endian.

    Args:
        images: Of one series and one size, uncompressed.
        sop_instance_uid: Of the new object.
    """
    first = images[0]
    enhanced = FileDataset("", {}, file_meta=_file_meta(sop_instance_uid), preamble=b"\0" * 128)
    enhanced.update({element.tag: element for element in first if element.keyword not in _PER_IMAGE})
    enhanced.SOPClassUID, enhanced.SOPInstanceUID = EnhancedCTImageStorage, UID(sop_instance_uid)
    _add_equipment(enhanced)
    _add_image_description(enhanced, first)
    _add_dimensions(enhanced)
    enhanced.NumberOfFrames = len(images)
    enhanced.SharedFunctionalGroupsSequence = [_shared_groups(first)]
    enhanced.PerFrameFunctionalGroupsSequence = [_frame_groups(image, n) for n, image in enumerate(images, start=1)]
    enhanced.PixelData = b"".join(image.PixelData for image in images)
    return enhanced


def _file_meta(sop_instance_uid: str) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    meta.MediaStorageSOPInstanceUID = UID(sop_instance_uid)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return meta


def _add_equipment(enhanced: Dataset) -> None:
    """Type 1 of the Enhanced General Equipment Module (PS3.3 C.7.5.2)."""
    for keyword in ("Manufacturer", "ManufacturerModelName", "DeviceSerialNumber", "SoftwareVersions"):
        if not enhanced.get(keyword):
            setattr(enhanced, keyword, "1")


def _add_image_description(enhanced: Dataset, first: Dataset) -> None:
    """The Enhanced CT Image Module and what belongs to every multi-frame image (PS3.3 C.8.15.2, C.7.6.16)."""
    enhanced.InstanceNumber = 1
    enhanced.ImageType = _frame_type(first)
    enhanced.PixelPresentation, enhanced.VolumetricProperties = "MONOCHROME", "VOLUME"
    enhanced.VolumeBasedCalculationTechnique = "NONE"
    enhanced.MultienergyCTAcquisition = "NO"
    enhanced.AcquisitionDateTime = f"{first.get('AcquisitionDate', '')}{first.get('AcquisitionTime', '')}"
    enhanced.AcquisitionDuration = 5.0
    enhanced.ContentQualification = "RESEARCH"
    enhanced.BurnedInAnnotation, enhanced.LossyImageCompression = "NO", "00"
    enhanced.PresentationLUTShape = "IDENTITY"
    enhanced.BitsStored, enhanced.HighBit = enhanced.BitsAllocated, enhanced.BitsAllocated - 1
    enhanced.AcquisitionContextSequence = []


def _add_dimensions(enhanced: Dataset) -> None:
    """Frames are indexed by stack and place in it (PS3.3 C.7.6.17)."""
    organization = Dataset()
    organization.DimensionOrganizationUID = derive_uid(str(enhanced.SOPInstanceUID), "dimension organization")
    enhanced.DimensionOrganizationSequence = [organization]
    enhanced.DimensionOrganizationType = "3D"
    enhanced.DimensionIndexSequence = [_dimension(organization, tag) for tag in (0x00209056, 0x00209057)]


def _dimension(organization: Dataset, tag: int) -> Dataset:
    dimension = Dataset()
    dimension.DimensionOrganizationUID = organization.DimensionOrganizationUID
    # Pointers to Stack ID and In-Stack Position Number, both in the Frame Content Sequence.
    dimension.DimensionIndexPointer = tag
    dimension.FunctionalGroupPointer = 0x00209111
    return dimension


def _frame_groups(image: Dataset, number: int) -> Dataset:
    """What differs from frame to frame: its place, its rescale."""
    groups = Dataset()
    groups.FrameContentSequence = [_frame_content(image, number)]
    groups.PlanePositionSequence = [_of(image, "ImagePositionPatient")]
    groups.PixelValueTransformationSequence = [_of(image, "RescaleIntercept", "RescaleSlope", "RescaleType")]
    if "WindowCenter" in image:
        groups.FrameVOILUTSequence = [_of(image, "WindowCenter", "WindowWidth")]
    return groups


def _frame_content(image: Dataset, number: int) -> Dataset:
    content = Dataset()
    content.FrameAcquisitionNumber = int(image.get("AcquisitionNumber") or 1)
    content.FrameReferenceDateTime = content.FrameAcquisitionDateTime = _acquired_at(image)
    content.FrameAcquisitionDuration = 500.0
    content.StackID, content.InStackPositionNumber = "1", number
    content.DimensionIndexValues = [1, number]
    return content


def _acquired_at(image: Dataset) -> str:
    return f"{image.get('AcquisitionDate', '')}{image.get('AcquisitionTime', '')}" or "19700101"


def _shared_groups(first: Dataset) -> Dataset:
    """What all frames have in common (PS3.3 A.38.1.4)."""
    groups = Dataset()
    groups.PlaneOrientationSequence = [_of(first, "ImageOrientationPatient")]
    groups.PixelMeasuresSequence = [_of(first, "PixelSpacing", "SliceThickness")]
    groups.FrameAnatomySequence = [_anatomy()]
    groups.CTImageFrameTypeSequence = [_image_frame_type(first)]
    groups.IrradiationEventIdentificationSequence = [_irradiation_event(first)]
    groups.CTAcquisitionTypeSequence = [_acquisition_type()]
    groups.CTAcquisitionDetailsSequence = [_acquisition_details()]
    groups.CTTableDynamicsSequence = [_table_dynamics()]
    groups.CTPositionSequence = [_position()]
    groups.CTGeometrySequence = [_geometry()]
    groups.CTReconstructionSequence = [_reconstruction(first)]
    groups.CTExposureSequence = [_exposure()]
    groups.CTXRayDetailsSequence = [_x_ray_details(first)]
    return groups


def _of(image: Dataset, *keywords: str) -> Dataset:
    """An item with these elements of an image, as far as it has them."""
    item = Dataset()
    for keyword in keywords:
        if keyword in image:
            item.add(image[keyword])
    return item


def _frame_type(image: Dataset) -> list[str]:
    """Frame Type has four values, of which the second is always PRIMARY (PS3.3 C.8.16.1, C.8.15.2.1.1)."""
    pixels, _, flavour = [*map(str, image.ImageType), "", "", ""][:3]
    return [pixels, "PRIMARY", "LOCALIZER" if flavour == "LOCALIZER" else "VOLUME", _contrast(flavour)]


def _contrast(flavour: str) -> str:
    return "RESAMPLED" if flavour == "REFORMATTED" else "NONE"


def _image_frame_type(first: Dataset) -> Dataset:
    item = Dataset()
    item.FrameType = _frame_type(first)
    item.PixelPresentation, item.VolumetricProperties = "MONOCHROME", "VOLUME"
    item.VolumeBasedCalculationTechnique = "MPR" if item.FrameType[3] == "RESAMPLED" else "NONE"
    return item


def _anatomy() -> Dataset:
    item = Dataset()
    item.FrameLaterality = "U"
    item.AnatomicRegionSequence = [_code(codes.SCT.Chest)]
    return item


def _code(concept: Code) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator = concept.value, concept.scheme_designator
    item.CodeMeaning = concept.meaning
    return item


def _irradiation_event(first: Dataset) -> Dataset:
    item = Dataset()
    item.IrradiationEventUID = derive_uid(str(first.StudyInstanceUID), "irradiation event")
    return item


def _acquisition_type() -> Dataset:
    item = Dataset()
    item.AcquisitionType, item.ConstantVolumeFlag, item.FluoroscopyFlag = "SPIRAL", "NO", "NO"
    return item


def _acquisition_details() -> Dataset:
    item = Dataset()
    item.RotationDirection, item.RevolutionTime = "CW", 0.5
    item.SingleCollimationWidth, item.TotalCollimationWidth = 0.6, 38.4
    item.TableHeight, item.GantryDetectorTilt, item.DataCollectionDiameter = 0.0, 0.0, _FIELD_OF_VIEW_MM
    return item


def _table_dynamics() -> Dataset:
    item = Dataset()
    item.TableSpeed, item.TableFeedPerRotation, item.SpiralPitchFactor = 76.8, 38.4, 1.0
    return item


def _position() -> Dataset:
    item = Dataset()
    item.TablePosition = 0.0
    item.DataCollectionCenterPatient = [0.0, 0.0, 0.0]
    item.ReconstructionTargetCenterPatient = [0.0, 0.0, 0.0]
    return item


def _geometry() -> Dataset:
    item = Dataset()
    item.DistanceSourceToDetector, item.DistanceSourceToDataCollectionCenter = _DETECTOR_MM, 570.0
    return item


def _reconstruction(first: Dataset) -> Dataset:
    item = Dataset()
    item.ReconstructionAlgorithm = "FILTER_BACK_PROJ"
    item.ConvolutionKernel = first.get("ConvolutionKernel") or "STANDARD"
    item.ConvolutionKernelGroup = "LUNG" if item.ConvolutionKernel == "LUNG" else "SOFT_TISSUE"
    item.ReconstructionDiameter = float(first.Rows) * float(first.PixelSpacing[0])
    item.ReconstructionPixelSpacing = [float(value) for value in first.PixelSpacing]
    item.ReconstructionAngle, item.ImageFilter = 360.0, "NONE"
    return item


def _exposure() -> Dataset:
    item = Dataset()
    item.ExposureTimeInms, item.XRayTubeCurrentInmA, item.ExposureInmAs = 500.0, 100.0, 50.0
    item.ExposureModulationType = "NONE"
    return item


def _x_ray_details(first: Dataset) -> Dataset:
    item = Dataset()
    item.KVP = first.get("KVP") or "120"
    item.FocalSpots, item.FilterType, item.FilterMaterial = [1.0], "FLAT", "ALUMINUM"
    item.CalciumScoringMassFactorDevice = None
    return item
