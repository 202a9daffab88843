"""The picture of the results: what a request costs each proxy, and what it adds to the request's latency."""

from __future__ import annotations

import importlib.util
from io import BytesIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.report import Figures

BARS = {
    "plain": "CPU µs per request, no policy",
    "policies": "CPU µs per request, all policies (-plain: none)",
}
CURVES = {"p50": "added latency, p50, ms", "p99": "added latency, p99, ms"}
LEVELS = (10, 50, 80)
OURS, THEIRS = "#0b6e99", "#a9b4bd"
COLOURS = ("#7f7f7f", "#d1495b", "#edae49", "#66a182", "#8d6a9f", "#2e4057", "#c08457", "#4f6d7a")
TALLEST = 8.0  # times the middle bar: what is longer is cut, and says its figure
FLOOR_MS = 0.01  # what is added may be less than nothing, by chance; a logarithm cannot


def missing() -> str | None:
    """Return why no picture can be drawn, or None."""
    return (
        None
        if importlib.util.find_spec("matplotlib")
        else "matplotlib is not installed: pip install matplotlib"
    )


def draw(figures: Figures, path: Path) -> Path | None:
    """Draw as many of the panels as there are ``figures`` for, as PNG; return ``path``, or None if for none."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415  # an extra, slow to import
    from matplotlib.figure import Figure  # noqa: PLC0415
    from PIL import Image  # noqa: PLC0415

    latency = figures.get("latency", {})
    bars = [name for name in BARS if figures.get(name)]
    rows = bool(bars) + bool(latency)
    if not rows:
        return None
    figure = Figure(figsize=(11, 4.4 * rows), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    parts = figure.subfigures(rows, 1, squeeze=False)[:, 0]
    if bars:
        for axes, name in zip(parts[0].subplots(1, len(bars), squeeze=False)[0], bars, strict=True):
            _bars(axes, BARS[name], {peer: values["cpu_us"] for peer, values in figures[name].items()})
    if latency:
        for axes, (quantile, title) in zip(parts[-1].subplots(1, len(CURVES)), CURVES.items(), strict=True):
            _curves(axes, title, quantile, latency)
    drawn = BytesIO()
    figure.savefig(drawn, format="png")
    path.parent.mkdir(parents=True, exist_ok=True)
    # A palette makes a third of it, and shows no difference.
    Image.open(drawn).convert("RGB").quantize(128).save(path, optimize=True)
    return path


def _bars(axes: Any, title: str, values: dict[str, float]) -> None:
    names = sorted(values, key=lambda name: values[name], reverse=True)
    middle = sorted(values.values())[len(values) // 2]
    longest = min(max(values.values()), TALLEST * middle)
    shown = [min(values[name], longest) for name in names]
    colours = [OURS if name.startswith("proxyd") else THEIRS for name in names]
    axes.barh(names, shown, color=colours)
    for row, name in enumerate(names):
        cut = values[name] > longest
        axes.text(
            shown[row] + longest * 0.01,
            row,
            f"{values[name]:,.0f}{' →' if cut else ''}",
            va="center",
            fontsize=9,
        )
    axes.set_xlim(0, longest * 1.16)
    axes.set_title(title, fontsize=11, loc="left")
    axes.spines[["top", "right"]].set_visible(False)


def _curves(axes: Any, title: str, quantile: str, latency: dict[str, dict[str, float]]) -> None:
    names = list(latency)
    for name, values in latency.items():
        points = [(level, values.get(f"{quantile} at {level}%")) for level in LEVELS]
        known = [(level, max(FLOOR_MS, value / 1000)) for level, value in points if value is not None]
        ours = name.startswith("proxyd")
        axes.plot(
            [level for level, _ in known],
            [value for _, value in known],
            color=OURS if ours else COLOURS[names.index(name.removesuffix("-policies")) % len(COLOURS)],
            linestyle="--" if name.endswith("-policies") else "-",
            linewidth=2.6 if ours else 1.4,
            marker="o",
            markersize=4,
            label=name,
        )
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_xticks(LEVELS, [f"{level} %" for level in LEVELS])
    axes.set_xlabel("load, of each proxy's own most", fontsize=9)
    axes.set_title(title, fontsize=11, loc="left")
    axes.grid(axis="y", color="#e4e7ea", which="major")
    axes.spines[["top", "right"]].set_visible(False)
    if quantile == "p50":
        axes.legend(fontsize=8, ncols=2, frameon=False)
