"""Where an axial slice lies, from the attributes of the Image Plane Module (PS3.3 C.7.6.2)."""

from math import isfinite, sqrt

_Vector = tuple[float, float, float]

# Cosine of 30 degrees: a gantry is tilted by less (PS3.3 C.8.2.1.1.10), a coronal or sagittal image by more.
_AXIAL_COSINE = 0.866
# Image Orientation holds unit vectors; scanners round to three digits and more.
_UNIT_TOLERANCE = 0.02
# Six numbers of at most 16 characters with backslashes between (PS3.5 6.2, DS); longer text is not even read.
_MAXIMUM_CHARACTERS = 6 * 17


def axial_position_mm(image_position: str, image_orientation: str) -> float | None:
    """Position of the slice along its normal in the patient's coordinates; None unless the slice is axial.

    Args:
        image_position: Image Position (Patient) (0020,0032), as in the data set.
        image_orientation: Image Orientation (Patient) (0020,0037), as in the data set.
    """
    position, cosines = _numbers(image_position, 3), _numbers(image_orientation, 6)
    if position is None or cosines is None:
        return None
    normal = _cross(cosines[:3], cosines[3:])
    length = sqrt(sum(part * part for part in normal))
    if abs(length - 1.0) > _UNIT_TOLERANCE or abs(normal[2]) < _AXIAL_COSINE:
        return None
    position_mm = sum(along * part for along, part in zip(position, normal, strict=True)) / length
    return position_mm if isfinite(position_mm) else None


def _numbers(text: str, count: int) -> list[float] | None:
    """The values of a DS; None where they are not so many numbers."""
    parts = text.split("\\")
    if len(text) > _MAXIMUM_CHARACTERS or len(parts) != count:
        return None
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        return None
    return numbers if all(map(isfinite, numbers)) else None


def _cross(one: list[float], other: list[float]) -> _Vector:
    return (
        one[1] * other[2] - one[2] * other[1],
        one[2] * other[0] - one[0] * other[2],
        one[0] * other[1] - one[1] * other[0],
    )
