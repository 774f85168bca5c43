"""Images that carry canaries in all that they say of a patient: whole, broken, hostile, refused, damaged."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, generate_uid
from pynetdicom.dsutils import encode

from builders.canaries import MARK, canaries_of, put_canaries, put_hostile_canaries
from builders.instances import ct_instance, dose_report
from builders.patient_text import patient_texts
from builders.small_patient import SmallPatient

HELD, MIXED, REFUSED, BROKEN, SHORT = "1.2.826.1", "1.2.826.2", "1.2.826.3", "1.2.826.4", "1.2.826.5"
"""Study Instance UIDs."""
_ALL_IN_ONE_OF = 10


def images_with_canaries(patient: SmallPatient) -> list[Dataset]:
    """A study that is analysed, a canary in each text."""
    images = [dcmread(path) for path in patient.current.paths]
    images = [image for image in images if image.SeriesDescription == "Chest lung"]
    # To build and send all 2300 in each image takes a minute.
    counts = [put_canaries(image, deepest=0 if number % _ALL_IN_ONE_OF else 9) for number, image in enumerate(images)]
    assert min(counts) > 100 and max(counts) > 2000
    return images


def as_study(uid: str, images: Sequence[Dataset]) -> list[Dataset]:
    """The same images as another study."""
    others = deepcopy(list(images))
    for image in others:
        image.StudyInstanceUID, image.SeriesInstanceUID = uid, f"{uid}.1"
        image.SOPInstanceUID = generate_uid(entropy_srcs=[uid, str(image.SOPInstanceUID)])
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    return others


def broken_images(images: Sequence[Dataset]) -> list[Dataset]:
    """The same as another study, with pixels that no decoder reads."""
    broken = as_study(BROKEN, images)
    for image in broken:
        image.PixelData = encapsulate([f"{MARK}PIXELS ".encode() * 10])
        image["PixelData"].VR, image["PixelData"].is_undefined_length = "OB", True
        image.file_meta.TransferSyntaxUID = JPEG2000Lossless
    return broken


def hostile_images() -> list[Dataset]:
    """Values that break their representation, another patient in the same study, names in other character sets."""
    hostile, other, report = ct_instance(1, study=HELD), ct_instance(2, study=HELD), dose_report(study=HELD)
    put_canaries(hostile)
    put_hostile_canaries(hostile)
    other.PatientID, other.PatientName = f"{MARK}-OTHER", f"{MARK}^OTHER"
    put_canaries(report)
    report.TextValue = f"{MARK}TEXT"
    return [hostile, report, *_foreign_images(), other]


def _foreign_images() -> Iterator[Dataset]:
    # In one study, which is held for it: as many studies would keep the worker busy for minutes.
    for number, text in enumerate(patient_texts().values()):
        image = ct_instance(number, study=MIXED)
        image.SpecificCharacterSet = "ISO_IR 6"
        text.put(image)
        # pydicom writes no text whose character set it does not know.
        if encode(image, False, True) is not None:
            yield image


def refused_images() -> list[Dataset]:
    """Objects that belong to nothing."""
    images = [ct_instance(1, study=REFUSED), ct_instance(2, study=REFUSED)]
    for image in images:
        put_canaries(image)
    images[0].SeriesInstanceUID = ""
    images[1].StudyInstanceUID = ""
    return images


def damaged_files(image: Dataset, folder: Path) -> list[Path]:
    """An object that ends within a text, and one whose lengths are nonsense from there on."""
    path, word = folder / "whole.dcm", next(canaries_of("PatientComments")).encode()
    image.save_as(path, enforce_file_format=True)
    whole = path.read_bytes()
    place = whole.index(word) + 5
    damaged = {"cut.dcm": whole[:place], "nonsense.dcm": whole[:place] + b"\xff" * 9 + whole[place:]}
    for name, data in damaged.items():
        (folder / name).write_bytes(data)
    return [folder / name for name in damaged]
