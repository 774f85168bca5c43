"""What the reconstruction kernel of a CT series is good for."""

import re
from enum import IntEnum


class KernelUse(IntEnum):
    """Better for lung tissue first."""

    LUNG = 0
    SHARP = 1
    """Made for bone or edges: shows lung tissue, with more noise."""
    OTHER = 2
    """Made for soft tissue, or not known."""


_SIEMENS_LUNG_NUMBER = 57
_SIEMENS_NUMBER = re.compile(r"^(?P<family>[A-Z][A-Z]?)(?P<number>\d\d)")
"""B70f, I70f, Bl57d, Br59: letters for the body region, two digits that rise with sharpness."""

_SIEMENS_FAMILIES = frozenset({"B", "I", "BL", "BR", "BV", "QR"})
"""Body kernels. Siemens, "SOMATOM Sensation Cardiac, Operating Instructions", Body Kernels: B50-B80 for higher
sharpness, as in the thorax; the Lung-PET-CT-Dx collection pairs B70f with B40f. `Bl` (body, lung) starts at 57 on
later systems."""

_TABLE: tuple[tuple[str, KernelUse, str], ...] = (
    ("GE", KernelUse.LUNG, r"(HD )?(LUNG|CHEST)\b"),
    ("GE", KernelUse.SHARP, r"(HD )?(BONE|BONEPLUS|EDGE|ULTRA)\b"),
    ("PHILIPS", KernelUse.LUNG, r"L$"),
    ("PHILIPS", KernelUse.SHARP, r"(Y[A-E]|D|E)$"),
    ("TOSHIBA|CANON", KernelUse.LUNG, r"FC5\d"),
    ("TOSHIBA|CANON", KernelUse.SHARP, r"FC(3\d|8\d)"),
)
"""Manufacturer (start of the word, empty: any), use, pattern of the kernel. DICOM leaves the words to the makers
(PS3.3 C.8.2.1, Convolution Kernel), so they come from what is seen: GE names the lung kernel LUNG (FDA thorax phantom
collection, "lung kernel"); Philips L lies beside B in Lung-PET-CT-Dx; Toshiba's FC50-59 are its lung kernels, FC30-39
bone and FC80-89 high resolution. Words that are missing here count as `OTHER`: they cost a preference, never a
study."""


def kernel_use(kernel: str) -> KernelUse:
    """The use of Convolution Kernel (0018,1210) as any of the makers writes it; the makers' words do not collide."""
    word = kernel.strip().upper()
    for _, use, pattern in _TABLE:
        if re.match(pattern, word):
            return use
    match = _SIEMENS_NUMBER.match(word)
    if match and match["family"] in _SIEMENS_FAMILIES and int(match["number"]) >= _SIEMENS_LUNG_NUMBER:
        return KernelUse.LUNG
    return KernelUse.OTHER
