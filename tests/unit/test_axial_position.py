"""Where an axial slice lies, from text that a sender wrote."""

from math import cos, radians, sin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom_node.listen.geometry import axial_position_mm

AXIAL = "1\\0\\0\\0\\1\\0"


def test_position_is_along_the_normal_whatever_lies_in_the_plane() -> None:
    """Head first supine: z."""
    assert axial_position_mm("-170.5\\-120\\-33.25", AXIAL) == -33.25
    assert axial_position_mm("9\\9\\ -33.25 ", " 1.0\\0\\-0\\0\\+1\\0e0") == -33.25


def test_slices_of_a_tilted_gantry_keep_their_distance() -> None:
    """Two slices 5 mm apart along a normal that is tilted by 20 degrees."""
    up, forward = cos(radians(20)), sin(radians(20))
    orientation = f"1\\0\\0\\0\\{up:.6f}\\{forward:.6f}"
    first = axial_position_mm("0\\0\\0", orientation)
    second = axial_position_mm(f"0\\{-5 * forward:.6f}\\{5 * up:.6f}", orientation)
    assert first is not None
    assert second is not None
    assert second - first == pytest.approx(5.0, abs=1e-4)


@pytest.mark.parametrize(
    ("position", "orientation"),
    [
        ("0\\0\\0", "1\\0\\0\\0\\0\\-1"),
        ("0\\0\\0", "0\\1\\0\\0\\0\\-1"),
        ("", AXIAL),
        ("0\\0", AXIAL),
        ("0\\0\\x", AXIAL),
        ("0\\0\\nan", AXIAL),
        ("0\\0\\1e999", AXIAL),
        ("0\\0\\0", "1\\0\\0\\1\\0\\0"),
        ("0\\0\\0", "5\\0\\0\\0\\5\\0"),
        ("0\\0\\" + "1" * 5000, AXIAL),
    ],
)
def test_what_is_no_axial_slice_has_no_position(position: str, orientation: str) -> None:
    """Coronal, sagittal, missing, malformed, not finite, not orthonormal, endless."""
    assert axial_position_mm(position, orientation) is None


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_text_raises(position: str, orientation: str) -> None:
    """A sender cannot stop the receive path with it."""
    axial_position_mm(position, orientation)
    axial_position_mm(position, AXIAL)
