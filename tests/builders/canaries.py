"""A canary of its own in every text that a CT image can hold, by the standard's own list of its attributes (PS3.3 A.3)."""

import json
from collections.abc import Iterator
from functools import cache
from importlib import resources

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag

MARK = "ZQXCNRY"
"""Begins every canary; a word of no language, and short enough for SH and AE."""
BIRTH_DATE = "19130713"
AGE = "113Y"
WEIGHT = "61.7317"
ABROAD = ("Ñandú", "Öselborg")
"""Part of the name of the patient, in ISO 8859-1."""

Place = tuple[str, ...]
"""Keywords from the data set to the attribute, through the first item of each sequence."""

_TEXT_VRS = frozenset({"AE", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
_KEPT = frozenset({("RescaleType",), ("TimezoneOffsetFromUTC",)})
"""What they mean decides whether an image is understood."""
_RETIRED = ("OtherPatientIDs", "InsurancePlanIdentification", "PatientReligiousPreference", "StudyComments")
"""Not in the module tables any more, and sent all the same."""
_PRIVATE_GROUP = 0x0011
_PRIVATE = (("LO", 9011), ("LT", 9012), ("UT", 9013), ("PN", 9014), ("ST", 9015), ("SH", 9016))
"""Value representations and numbers of private elements."""


@cache
def text_places() -> tuple[tuple[Place, str], ...]:
    """Every attribute for text of the CT Image IOD with its value representation.

    Read from the copy of PS3.3 that highdicom brings; overlays, whose groups repeat, are put in by `put_canaries`.
    """
    tables = resources.files("highdicom") / "_standard"
    modules = json.loads((tables / "iod_module_map.json").read_text())["ct-image"]
    attributes = json.loads((tables / "module_attribute_map.json").read_text())
    places = dict.fromkeys(
        (*entry["path"], entry["keyword"]) for module in modules for entry in attributes[module["key"]]
    )
    named = [*places, *((keyword,) for keyword in _RETIRED)]
    found = ((place, dictionary_VR(place[-1])) for place in named if tag_for_keyword(place[-1]) is not None)
    return tuple((place, vr) for place, vr in found if vr in _TEXT_VRS and place not in _KEPT)


def canary(number: int, vr: str = "LO") -> str:
    """A text that stands nowhere else, as its value representation wants it."""
    word = f"{MARK}{number:04}"
    if vr == "PN":
        return f"{word}^{word}G"
    return f"http://{word}.example/".lower() if vr == "UR" else word


def place_of(word: str) -> str:
    """Which attribute a canary that was found belongs to."""
    digits = word[len(MARK) : len(MARK) + 4]
    places = text_places()
    known = digits.isdecimal() and int(digits) < len(places)
    return ".".join(places[int(digits)][0]) if known else word


def put_canaries(image: Dataset, *, deepest: int = 9) -> int:
    """Put one into each text of an image, private ones too; returns how many those are.

    Args:
        image: Gets them; the same attribute has the same canary in every image, as in those of a scanner.
        deepest: Those within more sequences are left out.
    """
    places = [(number, place, vr) for number, (place, vr) in enumerate(text_places()) if len(place) <= deepest + 1]
    for number, place, vr in places:
        _put(image, place, canary(number, vr))
    image.SpecificCharacterSet = "ISO_IR 100"
    image.PatientName = f"{canary(_number_of('PatientName'))}{ABROAD[0]}^{ABROAD[1]}"
    image.PatientBirthDate, image.PatientAge, image.PatientWeight = BIRTH_DATE, AGE, WEIGHT
    image.add_new(Tag(0x6000, 0x0022), "LO", canary(9001))
    image.add_new(Tag(0x6000, 0x1500), "LO", canary(9002))
    _put_private(image)
    return len(places) + len(_PRIVATE) + 5


def put_hostile_canaries(image: Dataset) -> None:
    """Put them where no text belongs, so that whoever reads a number or a date complains about them."""
    for keyword, vr in (
        ("ContentDate", "DA"),
        ("ContentTime", "TM"),
        ("PatientBirthDate", "DA"),
        ("PatientSex", "CS"),
        ("PatientSize", "DS"),
        ("PatientAge", "AS"),
        ("TimezoneOffsetFromUTC", "SH"),
    ):
        put_raw(image, keyword, vr, f"{MARK}HOST ")


def put_raw(image: Dataset, keyword: str, vr: str, text: str) -> None:
    """Set an attribute to a text of even length that its value representation may not allow."""
    tag = Tag(keyword)
    image[tag] = RawDataElement(tag, vr, len(text), text.encode(), 0, False, True)


def _put_private(image: Dataset) -> None:
    """A private block whose owner is a canary too, with a sequence and with bytes that no dictionary knows."""
    block = image.private_block(_PRIVATE_GROUP, canary(9010), create=True)
    for offset, (vr, number) in enumerate(_PRIVATE, start=1):
        block.add_new(offset, vr, canary(number, vr))
    item = Dataset()
    item.PatientComments = canary(9017)
    block.add_new(0x20, "SQ", Sequence([item]))
    block.add_new(0x21, "UN", canary(9018).encode() + b" ")


def _put(image: Dataset, place: Place, text: str) -> None:
    inner = image
    for keyword in place[:-1]:
        if not inner.get(keyword):
            setattr(inner, keyword, Sequence([Dataset()]))
        inner = inner[keyword].value[0]
    setattr(inner, place[-1], text)


def _number_of(keyword: str) -> int:
    return next(number for number, (place, _) in enumerate(text_places()) if place == (keyword,))


def canaries_of(*keywords: str) -> Iterator[str]:
    """The canaries of attributes of the data set itself."""
    return (canary(_number_of(keyword)) for keyword in keywords)
