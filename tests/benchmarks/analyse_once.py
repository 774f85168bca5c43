"""Analyses one study in a process of its own; the last line is one JSON object with seconds per stage.

python tests/benchmarks/analyse_once.py CURRENT [PRIOR ...]
"""

import json
import sys
import time
from pathlib import Path

from speed_phantoms import prior_studies, study_files

from pipeline.align import Alignment
from pipeline.model_pack import load_model_pack
from pipeline.run import analyse


class StageClock:
    """Told the stages as they begin, keeps how long each took."""

    def __init__(self) -> None:
        """Nothing has begun."""
        self.seconds: dict[str, float] = {}
        self._stage = ""
        self._began = time.monotonic()

    def begin(self, stage: str, _fraction: float) -> None:
        """End the stage before."""
        now = time.monotonic()
        if self._stage:
            self.seconds[self._stage] = self.seconds.get(self._stage, 0.0) + now - self._began
        self._stage, self._began = stage, now


def peak_kib() -> int:
    """Largest resident memory of this process; what the system tells its parent may be that of the parent itself."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))


def main() -> None:
    """Analyse, report."""
    alignment, current, *priors = sys.argv[1:]
    clock = StageClock()
    began, processor = time.monotonic(), time.process_time()
    analysis = analyse(
        study_files(Path(current)),
        prior_studies([Path(prior) for prior in priors]),
        pack=load_model_pack(None),
        device="cpu",
        alignment=Alignment(alignment),
        on_progress=clock.begin,
    )
    findings = analysis.findings
    report = {
        "analyse_s": round(time.monotonic() - began, 2),
        "processor_s": round(time.process_time() - processor, 2),
        "peak_gib": round(peak_kib() / 1024**2, 2),
        "stages_s": {stage: round(seconds, 2) for stage, seconds in clock.seconds.items()},
        "slices": len(findings.input_sop_instance_uids),
        "priors_used": len(findings.priors_used),
        "priors_dropped": [dropped.reason for dropped in findings.priors_dropped],
        "lesions": len(findings.lesions),
        "involvement_percent": round(findings.involvement_percent, 2),
    }
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
