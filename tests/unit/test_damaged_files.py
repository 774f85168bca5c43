"""Files that broke on the way, in whatever way."""

from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from builders.ct_series import CtSeries, ct_images, write_images
from builders.enhanced_ct import enhanced_from, write_enhanced
from pipeline.choose import choose_series
from pipeline.errors import PipelineError
from pipeline.volume import read_volume

SYNTAXES = (ExplicitVRLittleEndian, RLELossless, JPEGLSLossless, JPEG2000Lossless)
SERIES = CtSeries(shape=(10, 48, 48))


@cache
def build_files(syntax: UID) -> tuple[bytes, ...]:
    """The bytes of a small series, compressed once."""
    images = ct_images(SERIES)
    for image in images:
        if syntax.is_compressed:
            image.compress(syntax, generate_instance_uid=False)
    with TemporaryDirectory() as folder:
        return tuple(path.read_bytes() for path in write_images(Path(folder), images))


@cache
def build_enhanced(syntax: UID) -> bytes:
    """The bytes of the same series as one Enhanced CT."""
    enhanced = enhanced_from(ct_images(SERIES))
    if syntax.is_compressed:
        enhanced.compress(syntax, generate_instance_uid=False)
    with TemporaryDirectory() as folder:
        return write_enhanced(Path(folder), enhanced)[0].read_bytes()


FLIPS = st.lists(st.tuples(st.floats(0.0, 1.0, exclude_max=True), st.integers(0, 255)), max_size=6)


@settings(max_examples=80, deadline=None)
@given(syntax=st.sampled_from(SYNTAXES), share=st.floats(0.0, 1.0), header_flips=FLIPS, flips=FLIPS)
def test_a_damaged_enhanced_ct_is_a_reason_never_a_crash(
    syntax: UID, share: float, header_flips: list[tuple[float, int]], flips: list[tuple[float, int]]
) -> None:
    """Cut anywhere, flipped anywhere and most of all in the description of its frames."""
    whole = build_enhanced(syntax)
    damaged = bytearray(whole[: round(share * len(whole))] if share < 0.8 else whole)
    places = [(place * min(12_000, len(damaged)), value) for place, value in header_flips]
    for place, value in [*places, *((place * len(damaged), value) for place, value in flips)]:
        if damaged:
            damaged[int(place)] = value
    with TemporaryDirectory() as folder, suppress(PipelineError):
        path = Path(folder) / "enhanced.dcm"
        path.write_bytes(bytes(damaged))
        read_volume(choose_series([path]))


@settings(max_examples=80, deadline=None)
@given(
    syntax=st.sampled_from(SYNTAXES),
    share=st.floats(0.0, 1.0),
    flips=st.lists(st.tuples(st.floats(0.0, 1.0, exclude_max=True), st.integers(0, 255)), max_size=6),
)
def test_damage_is_a_reason_never_a_crash(syntax: UID, share: float, flips: list[tuple[float, int]]) -> None:
    """Cut anywhere, flipped anywhere: the series is read, or a pipeline error says why not."""
    files = list(build_files(syntax))
    damaged = bytearray(files[4][: round(share * len(files[4]))])
    for place, value in flips:
        if damaged:
            damaged[int(place * len(damaged))] = value
    files[4] = bytes(damaged)
    with TemporaryDirectory() as folder, suppress(PipelineError):
        paths = [Path(folder) / f"{number}.dcm" for number in range(len(files))]
        for path, content in zip(paths, files, strict=True):
            path.write_bytes(content)
        read_volume(choose_series(paths))
