"""Space-Time1 beside the detectors of the paper, against the bars that the project set itself.

    python tests/benchmarks/comparison.py --config docs/evaluation.toml --out RESULTS

Runs `dicom-node evaluate`, which goes on from the readings in RESULTS. The last line is one JSON object.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from pipeline.evaluation.config import load_evaluation_config
from pipeline.evaluation.run import evaluate

AREA_BAR, LEAD_BAR, SENSITIVITY_LEAD_BAR = 0.97, 0.03, 0.05
STAGE_TWO = "II"
MODEL = "Space-Time1"


def main() -> None:
    """Evaluate, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    wanted = parser.parse_args()
    evaluate(load_evaluation_config(wanted.config), out=wanted.out, only=(), on_progress=lambda *_: None)
    found = json.loads((wanted.out / "evaluation.json").read_text(encoding="utf-8"))
    sys.stdout.write(json.dumps(report(found)) + "\n")


def report(found: dict[str, Any]) -> dict[str, object]:
    """What was asked for, with the bars."""
    areas = {model["name"]: figure(model, "area") for model in found["models"]}
    sensitivities = {model["name"]: figure(model, "sensitivity_at_specificity") for model in found["models"]}
    rivals = [model["name"] for model in found["models"] if not model["kind"].startswith("space-time")]
    best = max(rivals, key=lambda name: areas[name]["value"], default=None)
    gains = [each for each in found["differences"] if MODEL in each["first"] and MODEL in each["second"]]
    summary: dict[str, object] = {
        "benchmark": "comparison",
        "patients": found["patients"],
        "diseased": found["diseased"],
        "area_stage_2": areas,
        "sensitivity_at_95_specificity_stage_2": sensitivities,
        "area_reached": areas[MODEL]["value"] >= AREA_BAR,
        "gains": {f"{each['first']} - {each['second']}: {each['figure']}": each["difference"] for each in gains},
    }
    if best is None:
        return summary
    lead = areas[MODEL]["value"] - areas[best]["value"]
    sensitivity_lead = sensitivities[MODEL]["value"] - sensitivities[best]["value"]
    return summary | {
        "best_baseline": best,
        "area_lead": lead,
        "area_lead_reached": lead >= LEAD_BAR,
        "sensitivity_lead": sensitivity_lead,
        "sensitivity_lead_reached": sensitivity_lead >= SENSITIVITY_LEAD_BAR,
    }


def figure(model: dict[str, Any], name: str) -> dict[str, Any]:
    """An estimate of a model in stage II."""
    stage = next(stage for stage in model["stages"] if stage["stage"] == STAGE_TWO)
    return dict(stage[name])


if __name__ == "__main__":
    main()
