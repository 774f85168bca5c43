"""The results as pictures: figures 4 and 5 of the paper, FROC, areas with intervals, reliability."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from pipeline.evaluation.results import CheckpointFigures, EvaluationResult, ModelResult, StageFigures
from pipeline.evaluation.views import STAGE_ONE, STAGE_TWO

COLOURS = ("#0072B2", "#56B4E9", "#009E73", "#D55E00", "#CC79A7", "#E69F00")
"""Told apart by colour-blind people too (Okabe and Ito 2008)."""

INK = "#333333"
PALE = "#D9D9D9"

PHANTOM_NOTE = "Phantoms: verifies software, not clinical performance."
NOTE_INCHES = 0.25


def draw_figures(result: EvaluationResult, out: Path) -> list[Path]:
    """PNG files in `out`."""
    drawings: dict[str, Callable[[EvaluationResult], Figure]] = {
        "figure-4-bars.png": _bars,
        "figure-5-roc.png": _roc,
        "areas.png": _areas,
        "froc.png": _froc,
        "reliability.png": _reliability,
    }
    paths: list[Path] = []
    for name, draw in drawings.items():
        figure = draw(result)
        _leave_note(figure, PHANTOM_NOTE if result.phantoms else "")
        figure.savefig(out / name, dpi=160)
        paths.append(out / name)
    return paths


def _leave_note(figure: Figure, note: str) -> None:
    """In a strip of its own below the panels."""
    share = NOTE_INCHES / float(figure.get_figheight())
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.set(rect=(0.0, share, 1.0, 1.0 - share))  # type: ignore[call-arg]  # of the constrained layout
    figure.text(0.99, 0.25 * share, note, ha="right", size=7.5, color="#777777")


def _bars(result: EvaluationResult) -> Figure:
    """Figure 4 of the paper: means over the checkpoints, with their spread."""
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    _bar_panel(left, result.models, "Sensitivity of patient identification", "sensitivity")
    _bar_panel(right, result.models, "Accuracy of target detection", "target_accuracy")
    left.set_ylabel("mean over checkpoints")
    return figure


def _bar_panel(axes: Axes, models: Sequence[ModelResult], title: str, name: str) -> None:
    for offset, stage in ((-0.2, STAGE_ONE), (0.2, STAGE_TWO)):
        found = [_of_stage(model, stage) for model in models]
        means = [getattr(each.mean, name) for each in found]
        sds = [_or_zero(getattr(each.sd, name)) for each in found]
        places = [index + offset for index in range(len(models))]
        shade = 0.45 if stage == STAGE_ONE else 1.0
        colours = [(_colour(index), shade) for index in range(len(models))]
        spread = (sds, [min(sd, 1.0 - mean) for mean, sd in zip(means, sds, strict=True)])
        axes.bar(places, means, 0.38, color=colours, yerr=spread, ecolor=INK, capsize=3, error_kw={"lw": 1})
        for place, mean, sd in zip(places, means, sds, strict=True):
            axes.text(place, min(mean + sd, 1.0) + 0.02, f"{100 * mean:.0f}", ha="center", size=9, color=INK)
    axes.set_xticks(range(len(models)), [model.name for model in models])
    axes.set_ylim(0.0, 1.12)
    axes.set_yticks([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_title(f"{title}\npale: stage I (one date), full: stage II (all dates)", size=11)
    _plain(axes, grid="y")


def _roc(result: EvaluationResult) -> Figure:
    """Figure 5 of the paper."""
    figure = Figure(figsize=(11, 5.3), layout="constrained")
    for axes, stage in zip(figure.subplots(1, 2), (STAGE_ONE, STAGE_TWO), strict=True):
        for index, model in enumerate(result.models):
            found = _figures(model, stage)
            area = found.area
            label = f"{model.name}  {area.value:.3f} ({area.low:.3f}-{area.high:.3f})"
            axes.plot(found.roc.x, found.roc.y, color=_colour(index), lw=2, label=label)
        axes.plot([0, 1], [0, 1], color=PALE, lw=1, zorder=0)
        axes.axvline(0.05, color=PALE, lw=1, ls="--", zorder=0)
        axes.set(xlim=(-0.01, 1.0), ylim=(0.0, 1.01), xlabel="1 - specificity", ylabel="sensitivity", aspect="equal")
        axes.set_title(_stage_title(stage), size=11)
        axes.legend(loc="lower right", frameon=False, title="AUC (95 % interval)", fontsize=9)
        _plain(axes, grid="both")
    return figure


def _areas(result: EvaluationResult) -> Figure:
    """Area under the curve of every detector, stage and control."""
    rows = [(index, model, found) for index, model in enumerate(result.models) for found in model.stages]
    figure = Figure(figsize=(9, 0.9 + 0.36 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for row, (index, _, found) in enumerate(rows):
        area, control = found.area, found.stage not in (STAGE_ONE, STAGE_TWO)
        colour = (_colour(index), 0.45 if control else 1.0)
        axes.plot([area.low, area.high], [row, row], color=colour, lw=2, solid_capstyle="round")
        face = "white" if found.stage == STAGE_ONE else _colour(index)
        axes.plot(area.value, row, "D" if control else "o", color=_colour(index), mfc=face, ms=6 if control else 8)
        axes.annotate(f"{area.value:.3f}", (1.01, row), xycoords=("axes fraction", "data"), va="center", size=9)
    axes.set_yticks(range(len(rows)), [f"{model.name}, stage {found.stage}" for _, model, found in rows])
    axes.invert_yaxis()
    axes.set_xlabel("AUC of patient identification, 95 % interval (DeLong)")
    _plain(axes, grid="x")
    return figure


def _froc(result: EvaluationResult) -> Figure:
    figure = Figure(figsize=(11, 4.8), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, stage in zip(panels, (STAGE_ONE, STAGE_TWO), strict=True):
        for index, model in enumerate(result.models):
            found = _figures(model, stage)
            label = f"{model.name}  {found.competition_metric.value:.3f}"
            x, y = (*found.froc.x, 1000.0), (*found.froc.y, found.froc.y[-1])
            axes.plot(x, y, color=_colour(index), lw=2, label=label)
        axes.set_xscale("log", base=2)
        ticks = (0.125, 0.25, 0.5, 1, 2, 4, 8)
        axes.set_xticks(ticks, ["1/8", "1/4", "1/2", "1", "2", "4", "8"])
        axes.set(xlim=(0.1, 10), ylim=(0.0, 1.01), xlabel="false positives per scan")
        axes.set_title(_stage_title(stage), size=11)
        axes.legend(loc="best", frameon=False, title="CPM", fontsize=9)
        _plain(axes, grid="both")
    panels[0].set_ylabel("sensitivity to lesions")
    return figure


def _reliability(result: EvaluationResult) -> Figure:
    figure = Figure(figsize=(11, 5.3), layout="constrained")
    for axes, stage in zip(figure.subplots(1, 2), (STAGE_ONE, STAGE_TWO), strict=True):
        axes.plot([0, 1], [0, 1], color=PALE, lw=1, zorder=0)
        for index, model in enumerate(result.models):
            found = _figures(model, stage)
            x = [each.mean_score for each in found.reliability]
            y = [each.diseased_share for each in found.reliability]
            sizes = [12 + 160 * each.patients / result.cases for each in found.reliability]
            label = f"{model.name}  {found.calibration_error:.3f}"
            axes.plot(x, y, color=_colour(index), lw=1.2, alpha=0.7, label=label)
            axes.scatter(x, y, s=sizes, color=_colour(index), alpha=0.8, lw=0)
        axes.set(
            xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="patient score", ylabel="share diseased", aspect="equal"
        )
        axes.set_title(_stage_title(stage), size=11)
        axes.legend(loc="upper left", frameon=False, title="calibration error", fontsize=9)
        _plain(axes, grid="both")
    return figure


def _plain(axes: Axes, *, grid: str) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#999999")
    axes.tick_params(colors=INK, labelsize=9)
    axes.set_axisbelow(True)
    axes.grid(axis=grid, color="#EEEEEE", lw=0.8)  # type: ignore[arg-type]


def _stage_title(stage: str) -> str:
    return "Stage I: one date per patient" if stage == STAGE_ONE else "Stage II: all dates"


def _colour(index: int) -> str:
    return COLOURS[index % len(COLOURS)]


def _figures(model: ModelResult, stage: str) -> StageFigures:
    return next(each for each in model.stages if each.stage == stage)


def _of_stage(model: ModelResult, stage: str) -> CheckpointFigures:
    return next(each for each in model.checkpoints if each.stage == stage)


def _or_zero(value: float) -> float:
    return 0.0 if math.isnan(value) else value
