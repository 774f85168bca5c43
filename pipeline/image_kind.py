"""What kind of picture an image of a CT series is, by the words in its header."""

import re
from enum import StrEnum

from pydicom.uid import (
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    MultiFrameSingleBitSecondaryCaptureImageStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
)

from pipeline.image_header import ImageHeader


class ImageKind(StrEnum):
    """The value is the adjective in "1 scout image"."""

    SLICE = "acquired"
    SCOUT = "scout"
    REFORMAT = "reformatted"
    PROJECTION = "projected"
    """Maximum, minimum or average over a slab or over time."""
    MAP = "computed"
    """Something else than the density of tissue: iodine, perfusion, a difference of two scans."""
    CAPTURE = "captured"


OBJECTION: dict[ImageKind, str] = {
    ImageKind.SLICE: "",
    ImageKind.SCOUT: "it is a localiser (scout)",
    ImageKind.REFORMAT: "it is a reformat, not the acquired slices",
    ImageKind.PROJECTION: "it is a projection (MIP, MinIP or average), not the acquired slices",
    ImageKind.MAP: "it is a computed map, not the density of tissue",
    ImageKind.CAPTURE: "it is a dose report or a screen capture, not CT slices",
}
"""Why a series of such images is not read; each reads on after "it"."""

SECONDARY_CAPTURES = frozenset(
    {
        SecondaryCaptureImageStorage,
        MultiFrameSingleBitSecondaryCaptureImageStorage,
        MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
        MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
        MultiFrameTrueColorSecondaryCaptureImageStorage,
    }
)

_SLAB = r"\b(MIP|MINIP|MNIP|MIN[ _-]?IP|MAX[ _-]?IP)\b"

_IMAGE_TYPE: tuple[tuple[ImageKind, str], ...] = (
    (ImageKind.SCOUT, r"\bLOCALIZER\b"),
    (ImageKind.CAPTURE, r"\bSCREEN\b"),
    (ImageKind.PROJECTION, _SLAB),
    (ImageKind.REFORMAT, r"\b(REFORMATTED|MPR|CPR|VRT)\b"),
    (ImageKind.PROJECTION, r"\b(AVERAGE|PROJECTION)\b"),
    (ImageKind.MAP, r"\b(IODINE|Z EFF\w*|PERFUSION|SUBTRACTION|ELECTRON DENSITY)\b"),
)
"""In Image Type, underscores as spaces; the first that fits counts. The values are those of PS3.3 C.8.16.1.4 and what GE
(`DERIVED\\SECONDARY\\REFORMATTED\\AVERAGE` is its plain reformat), Siemens (`PROJECTION IMAGE`, `CT_SOM5 MPR`), Toshiba
and Philips (spectral maps) write."""

_DESCRIPTION: tuple[tuple[ImageKind, str], ...] = (
    (ImageKind.CAPTURE, r"\b(DOSE (REPORT|INFO)|PATIENT PROTOCOL|SCREEN ?(SAVE|CAPTURE|SHOT))\b"),
    (ImageKind.PROJECTION, _SLAB),
    (ImageKind.PROJECTION, r"\b(AIP|AVG|AVERAGE)\b"),
    (ImageKind.MAP, r"\b(IODINE|PBV|PERFUSION|SUBTRACTION|Z[ _-]?EFF)\b"),
)
"""In Series Description, as technologists and scanners name series. "MPR" is none of them: scanners also call thin axial
reconstructions so."""

_DERIVATION: tuple[tuple[ImageKind, str], ...] = (
    (ImageKind.PROJECTION, rf"{_SLAB}|\b(MAXIMUM|MINIMUM|AVERAGE|MEAN) INTENSITY\b"),
    (ImageKind.REFORMAT, r"\b(REFORMATTED|MULTI ?-?PLANAR|MPR)\b"),
)
"""In Derivation Description (0008,2111); it also speaks of compression, so the words are narrow."""


def image_kind(image: ImageHeader) -> ImageKind:
    """The kind; what no word tells otherwise is a slice."""
    if image.sop_class_uid in SECONDARY_CAPTURES or image.is_burned_in:
        return ImageKind.CAPTURE
    image_type = " ".join(image.image_type[2:]).replace("_", " ")
    searches = (
        (_IMAGE_TYPE, image_type),
        (_DESCRIPTION, image.series_description.upper().replace("_", " ")),
        (_DERIVATION, image.derivation),
    )
    kinds = (kind for table, text in searches for kind, pattern in table if re.search(pattern, text))
    return next(kinds, ImageKind.SLICE)
