"""How a phantom is scanned: grid, breath, posture, kernel, dose, artefacts."""

from dataclasses import dataclass
from enum import StrEnum


class Kernel(StrEnum):
    """Reconstruction kernel."""

    LUNG = "lung"
    """Sharp edges, fine strong noise."""
    SOFT = "soft"
    """Smooth edges, coarse weak noise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """One axial acquisition and its reconstruction."""

    seed: int = 0
    """Of the noise."""
    matrix: int = 512
    """Rows and columns."""
    fov_mm: float = 390.0
    slice_spacing_mm: float = 1.5
    slice_thickness_mm: float | None = None
    """None: as the spacing."""
    slices: int | None = None
    """None: as many as cover the lungs with margin_mm; else this many around the middle of the lungs."""
    margin_mm: float = 15.0
    """Above and below the lungs."""
    kernel: Kernel = Kernel.LUNG
    noise_hu: float = 28.0
    """Standard deviation in the middle of the body."""
    breath: float = 1.0
    """Height of the lungs against full inspiration of this patient, 0.9 to 1.1."""
    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Where the patient lies on the table against the last time: x, y, z in LPS."""
    aeration: float = 1.0
    """Air in the lungs at this height against the patient's usual; below 1 they are denser."""
    rotation_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """How the patient is turned against the anatomy about x, y, z, right-handed in LPS."""
    elastic_mm: float = 0.0
    """Root mean square of a smooth bend of the patient against the anatomy."""
    elastic_seed: int = 0
    start_mm: float | None = None
    """z of the first slice; None: as margin_mm or slices say."""
    breathing_mm: float = 0.0
    """How far the diaphragm moves while a slice is taken."""
    pulse_mm: float = 0.0
    """How far the borders of heart and great vessels move while a slice is taken."""
    atelectasis: float = 1.0
    """Dependent atelectasis against the patient's usual."""
    contrast_hu: float = 0.0
    """Added to blood by contrast medium."""
    offset_hu: float = 0.0
    """Calibration error of the scanner."""
    blur_mm: float | None = None
    """Standard deviation of the in-plane blur; None: the kernel's."""
    sharpening: float | None = None
    """Overshoot at edges; None: the kernel's."""
    noise_exponent: float = 0.5
    """Of the rise of the noise's amplitude with frequency; below it the noise is blotchier."""
    noise_roll_off_per_mm: float | None = None
    """Frequency at which the noise has fallen to 1/e; None: the kernel's."""
    waxy: float = 0.0
    """0..1: how far an iterative reconstruction has flattened the low contrasts."""
    streaks_hu: float = 0.0
    """Standard deviation of streaks from side to side where the rays cross most tissue."""
    hardening: float = 0.0
    """Strength of the bands next to contrast medium and bone; 1 is strong."""
    circle_mm: float | None = None
    """Diameter of the reconstructed circle, padded outside; None: the whole square is reconstructed."""

    @property
    def in_plane_spacing_mm(self) -> float:
        """Distance between pixel centres."""
        return self.fov_mm / self.matrix

    @property
    def thickness_mm(self) -> float:
        """Nominal slice thickness."""
        return self.slice_spacing_mm if self.slice_thickness_mm is None else self.slice_thickness_mm
