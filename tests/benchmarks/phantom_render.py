"""How long one phantom study takes at training size, against the bar of 20 s for 120 slices.

    python tests/benchmarks/phantom_render.py

Builds a patient with severe disease, the slowest course, and renders 120 slices of 256 x 256 with everything a training
scan may have: thick slices, movement, artefacts, posture. Processor seconds, so that a busy machine does not count.
The last line is one JSON object.
"""

import json
import sys
import time

from pipeline.phantom import Course, Scan, build_patient, render_study

BAR_S = 20.0
SCAN = Scan(
    matrix=256,
    fov_mm=384.0,
    slices=120,
    slice_spacing_mm=2.5,
    breathing_mm=5.0,
    pulse_mm=4.0,
    rotation_deg=(1.0, 1.0, 3.0),
    elastic_mm=2.0,
    streaks_hu=20.0,
    hardening=0.05,
    contrast_hu=200.0,
    waxy=0.5,
)


def main() -> None:
    """Time one patient and one study."""
    started = time.process_time()
    patient = build_patient(1, course=Course.SEVERE)
    built = time.process_time()
    study = render_study(patient, 10.0, scan=SCAN)
    rendered = time.process_time()
    figures = {
        "patient_s": round(built - started, 2),
        "study_s": round(rendered - built, 2),
        "slices": len(study.volume_hu),
        "bar_s": BAR_S,
        "within_bar": rendered - built <= BAR_S,
    }
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
