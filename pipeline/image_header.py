"""What is known of the images of a study without their pixels."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.study import SliceHeader


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageHeader:
    """What the choice of the series needs of one image, or of one frame; text as stored, missing text is empty."""

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    series_number: int | None
    series_description: str
    modality: str
    image_type: tuple[str, ...]
    """In capitals."""
    derivation: str
    """Derivation Description (0008,2111) in capitals."""
    kernel: str
    """First value of Convolution Kernel (0018,1210)."""
    contrast_agent: str
    """Contrast/Bolus Agent (0018,0010)."""
    region: tuple[str, ...]
    """What can name the part of the body, in capitals, what is nearest to the series first: Series Description, Body Part
    Examined (0018,0015), which scanners often give to all series of a study, Protocol Name, Study Description."""
    slice_thickness_mm: float | None
    acquisition_number: int | None
    stack_id: str
    """Frames of one stack belong together (PS3.3 C.7.6.16.2.2); empty for single images."""
    temporal_position: int | None
    """Frames of different positions show the same places at different times."""
    acquired: str
    """Date and time of acquisition as text that sorts by time; empty where the file gives none."""
    transfer_syntax_uid: str
    is_lossy: bool
    """Compressed with loss at any time before (PS3.3 C.7.6.1.1.5), or as it came."""
    is_called_lossless: bool
    """Lossy Image Compression (0028,2110) says that it never was."""
    is_burned_in: bool
    """Text is part of its pixels, by Burned In Annotation (0028,0301)."""
    frames: int
    """1 for a frame of a multi-frame CT: it is judged like an image."""
    is_in_hu: bool
    """Rescale Slope and Intercept are there and lead to Hounsfield units (PS3.3 C.8.2.1.1.2)."""
    value_range_hu: float
    """Between the lowest and the highest value that its stored bits can say; 0 where that is not known."""
    is_greyscale: bool
    geometry: SliceHeader | None
    """None where the file says not, or not fully, where its pixels lie."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadableFile:
    """A file that is not, or no longer, a DICOM image."""

    path: Path
    reason: str
    """A few plain words."""
    is_dicom: bool
    """False: it does not even begin like DICOM."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyHeaders:
    """The images of a study, sorted by SOP Instance UID, series and frame, each instance once.

    Instances of two series may share a SOP Instance UID. Images of one series that share it are all there, unless they say
    the same of themselves, their place with it.
    """

    images: tuple[ImageHeader, ...]
    unreadable: tuple[UnreadableFile, ...]
    """Sorted by name."""
