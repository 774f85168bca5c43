"""Makes SEG and SR of one study in a process of its own; the last line is one JSON object with seconds and memory.

PYTHONPATH=tests python tests/benchmarks/result_writing_once.py FOLDER ours|highdicom|rest
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from large_results import large_context, read_analysis

from builders.plain_highdicom import plain_results
from dicom_node.results.encode import dicom_bytes
from dicom_node.results.masks import masks_bytes
from dicom_node.results.plan import ResultPlan, SrClass
from dicom_node.results.preview import MOST_LESION_PICTURES, draw_lesion, draw_overview
from dicom_node.results.write import check_analysis, dicom_contents
from pipeline.findings import Analysis


def ours(analysis: Analysis) -> dict[str, int]:
    """What `write_result_set` does for the DICOM files, its check of the analysis included."""
    check_analysis(analysis)
    return {content.name: len(content.data) for content in dicom_contents(analysis, large_context())}


def highdicom(analysis: Analysis) -> dict[str, int]:
    """The same objects by highdicom alone, saved with pydicom."""
    results = plain_results(analysis, large_context(), SrClass.COMPREHENSIVE)
    return {name: len(dicom_bytes(dataset)) for name, dataset in results.items()}


def rest(analysis: Analysis) -> dict[str, float]:
    """Seconds of the DICOM files with the PDF, and of the files that are not DICOM."""
    lesions = analysis.findings.lesions[:MOST_LESION_PICTURES]
    with_pdf = large_context(ResultPlan())
    return {
        "dicom_with_pdf_s": _seconds(lambda: dicom_contents(analysis, with_pdf)),
        "masks_s": _seconds(lambda: masks_bytes(analysis)),
        "overview_s": _seconds(lambda: draw_overview(analysis)),
        "lesion_pictures_s": _seconds(lambda: [draw_lesion(analysis, lesion) for lesion in lesions]),
    }


def _seconds(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return round(time.perf_counter() - began, 3)


def peak_mib() -> float:
    """Largest resident memory of this process so far."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) / 1024


def main() -> None:
    """Read, make, report."""
    folder, way = sys.argv[1:]
    makers: dict[str, Callable[[Analysis], dict[str, Any]]] = {"ours": ours, "highdicom": highdicom, "rest": rest}
    analysis = read_analysis(Path(folder))
    given_mib = peak_mib()
    began, processor_began = time.perf_counter(), time.process_time()
    made = makers[way](analysis)
    report = {
        "seconds": round(time.perf_counter() - began, 3),
        "processor_s": round(time.process_time() - processor_began, 3),
        "peak_mib": round(peak_mib()),
        "given_mib": round(given_mib),
        "made": made,
    }
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
