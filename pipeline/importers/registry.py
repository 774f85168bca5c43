"""The formats that can be imported, by name."""

from typing import Final

from pipeline.importers import (
    covid_19_20,
    covid_ct_md,
    covid_ct_seg,
    dicom_rtstruct,
    dicom_seg,
    lidc,
    mosmed,
    nifti_dir,
    ricord,
)
from pipeline.importers.errors import UnknownFormatError
from pipeline.importers.records import Importer

_ALL: Final[tuple[Importer, ...]] = (
    dicom_seg.IMPORTER,
    dicom_rtstruct.IMPORTER,
    nifti_dir.IMPORTER,
    covid_ct_seg.IMPORTER,
    mosmed.IMPORTER,
    covid_19_20.IMPORTER,
    ricord.IMPORTER,
    covid_ct_md.IMPORTER,
    lidc.IMPORTER,
)

IMPORTERS: Final = {importer.name: importer for importer in _ALL}


def importer_named(name: str) -> Importer:
    """The importer of a format.

    Raises:
        UnknownFormatError: There is none.
    """
    if name not in IMPORTERS:
        reason = f"`{name}` is no format that can be imported; known are {', '.join(IMPORTERS)}."
        raise UnknownFormatError(reason)
    return IMPORTERS[name]
