"""How much of the body a series must show to be chosen."""

from pathlib import Path

import pytest

from builders.ct_series import CtSeries, ct_images, write_images
from pipeline.choose import choose_series


def chosen_number(folder: Path, *heights_mm: int) -> int | None:
    """Of series with slices of 5 mm: the first, number 1, is made for lung tissue, the others are not."""
    paths = []
    for number, height_mm in enumerate(heights_mm, start=1):
        kernel = "LUNG" if number == 1 else "STANDARD"
        series = CtSeries(uid=f"1.2.3.{number}", number=number, kernel=kernel, shape=(height_mm // 5, 40, 40))
        paths += write_images(folder, ct_images(series), prefix=f"series{number}")
    return choose_series(paths).number


@pytest.mark.parametrize(
    ("heights_mm", "number"),
    [
        ((290, 600), 1),
        ((240, 600), 1),
        ((235, 600), 2),
        ((150, 600), 2),
        ((300, 600), 1),
        ((245, 350), 2),
        ((280, 350), 1),
        ((245, 350, 600), 3),
        ((200, 240), 1),
        ((150, 240), 2),
    ],
)
def test_the_lungs_as_a_whole_come_before_the_kernel(tmp_path: Path, heights_mm: tuple[int, ...], number: int) -> None:
    """A part of the chest is worse than all of it; beside chest and abdomen in one, the height of lungs is enough."""
    assert chosen_number(tmp_path, *heights_mm) == number
