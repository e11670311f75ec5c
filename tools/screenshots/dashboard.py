"""Draw the dashboard of `deploy/kubernetes/options/monitoring` from what a real Prometheus answers.

    python -m tools.screenshots.dashboard http://127.0.0.1:9090 dashboard.png [--minutes 15]

It shows each panel where Grafana would, with the lines of its queries, their names and their unit. It is a picture of
the data, not of Grafana. Needs chromium.
"""

from __future__ import annotations

import argparse
import html
import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import requests

ROOT = Path(__file__).parent.parent.parent
DASHBOARD = ROOT / "deploy/kubernetes/options/monitoring/mezcal.json"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
COLUMN, ROW, STEPS = 58, 30, 120  # pixels of one unit of gridPos; points of a line
COLOURS = ("#7eb26d", "#eab839", "#6ed0e0", "#ef843c", "#e24d42", "#1f78c1", "#ba43a9", "#705da0", "#508642", "#cca300")
STYLE = """
body { margin: 0; background: #111217; color: #ccccdc; font: 12px sans-serif; }
div { position: absolute; box-sizing: border-box; overflow: hidden; }
.panel { background: #181b1f; border: 1px solid #2c3235; padding: 4px 8px; }
.row { font-size: 14px; padding: 8px; }
.value { font-size: 24px; color: #73bf69; text-align: center; padding-top: 16px; }
.none { color: #ff7383; } .names { bottom: 2px; left: 8px; right: 4px; font-size: 10px; }
.names span { margin-right: 9px; white-space: nowrap; } svg { position: absolute; left: 8px; top: 24px; }
"""

Series = tuple[str, list[tuple[float, float]]]


class Panels:
    """Asks the Prometheus at *url* for the panels of a dashboard, over the last *seconds*."""

    def __init__(self, url: str, seconds: float) -> None:
        self._url, self._end, self._seconds = url, time.time(), seconds

    def series(self, panel: dict[str, Any]) -> list[Series]:
        """Returns the lines of *panel*, each with its name. Raises `requests.HTTPError` for a query that is refused."""
        found = []
        for target in panel["targets"]:
            for line in self._range(target["expr"]):
                name = target.get("legendFormat") or ""
                for label, value in line["metric"].items():
                    name = name.replace("{{" + label + "}}", value)
                points = [(float(moment), float(value)) for moment, value in line["values"] if value != "NaN"]
                if points:
                    found.append((name, points))
        return found

    def position(self, moment: float) -> float:
        """Returns where *moment* is between the beginning (0) and the end (1)."""
        return 1 - (self._end - moment) / self._seconds

    def _range(self, query: str) -> list[dict[str, Any]]:
        asked = {"query": query.replace("$__rate_interval", "1m"), "start": self._end - self._seconds, "end": self._end}
        step = max(self._seconds / STEPS, 1)
        answer = requests.get(f"{self._url}/api/v1/query_range", params={**asked, "step": step}, timeout=30)
        answer.raise_for_status()
        return list(answer.json()["data"]["result"])


def readable(value: float, unit: str) -> str:
    """Returns *value* as people read it."""
    if unit == "percentunit":
        return f"{value:.0%}"
    if unit == "s":
        return f"{value:.2g} s" if value < 10 else f"{value:.0f} s"
    base, ending = (1024, "B") if unit in {"bytes", "Bps"} else (1000, "")
    power = 0
    while value >= base and power < 4:
        value, power = value / base, power + 1
    return f"{value:.3g} {('', 'k', 'M', 'G', 'T')[power]}{ending}" + ("/s" if unit in {"Bps", "reqps", "ops"} else "")


def drawn(panels: Panels, panel: dict[str, Any]) -> str:
    """Returns the HTML of *panel*."""
    place, unit = panel["gridPos"], panel.get("fieldConfig", {}).get("defaults", {}).get("unit", "none")
    width, height = place["w"] * COLUMN - 4, place["h"] * ROW - 4
    box = f"left:{place['x'] * COLUMN}px;top:{place['y'] * ROW}px;width:{width}px;height:{height}px"
    title = html.escape(panel["title"])
    if panel["type"] == "row":
        return f'<div class="row" style="{box}">{title}</div>'
    series = panels.series(panel)
    if not series:
        inside = '<div class="value none">no data</div>'
    elif panel["type"] == "stat":
        name, points = series[0]
        inside = f'<div class="value" style="width:90%">{html.escape(name) or readable(points[-1][1], unit)}</div>'
    elif panel["type"] == "state-timeline":
        inside = bars(panels, series, width - 16)
    else:
        inside = lines(panels, series, unit, width - 16, height - 62)
    return f'<div class="panel" style="{box}"><b>{title}</b>{inside}</div>'


def lines(panels: Panels, series: list[Series], unit: str, width: int, height: int) -> str:
    """Returns a diagram of *series* and their names."""
    top = max(value for _, points in series for _, value in points) or 1
    paths, names = [], []
    for number, (name, points) in enumerate(series):
        colour = COLOURS[number % len(COLOURS)]
        places = [(panels.position(at) * width, height - value / top * (height - 12)) for at, value in points]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        paths.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        names.append(f'<span style="color:{colour}">{html.escape(name)} {readable(points[-1][1], unit)}</span>')
    scale = f'<text x="0" y="10" fill="#8e8e9a" font-size="10">{readable(top, unit)}</text>'
    picture = f'<svg width="{width}" height="{height}">{"".join(paths)}{scale}</svg>'
    return f'{picture}<div class="names">{"".join(names)}</div>'


def bars(panels: Panels, series: list[Series], width: int) -> str:
    """Returns a bar for each of *series*, where it has values."""
    parts = []
    for number, (name, points) in enumerate(series):
        colour, y = COLOURS[number % len(COLOURS)], 24 * number
        parts += [f'<rect x="{panels.position(at) * width:.1f}" y="{y}" width="5" height="16" fill="{colour}"/>'
                  for at, _ in points]  # fmt: skip
        parts.append(f'<text x="4" y="{y + 12}" fill="#fff" font-size="11">{html.escape(name)}</text>')
    return f'<svg width="{width}" height="{24 * len(series)}">{"".join(parts)}</svg>'


def take(prometheus: str, picture: Path, seconds: float) -> None:
    """Write the *picture*, a PNG file, of the last *seconds* of what the server at *prometheus* knows."""
    wanted = json.loads(DASHBOARD.read_text())["panels"]
    panels = Panels(prometheus, seconds)
    body = "".join(drawn(panels, panel) for panel in wanted)
    bottom = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in wanted) * ROW
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "dashboard.html"
        page.write_text(f'<meta charset="utf-8"><style>{STYLE}</style>{body}', encoding="utf-8")
        size = f"--window-size={24 * COLUMN},{bottom}"
        given = ["--headless", "--no-sandbox", "--hide-scrollbars", size, f"--screenshot={picture.absolute()}"]
        subprocess.run([str(CHROMIUM), *given, f"file://{page}"], check=True, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("prometheus", help="its URL")
    parser.add_argument("picture", type=Path, help="the PNG file to write")
    parser.add_argument("--minutes", type=float, default=15)
    options = parser.parse_args()
    take(options.prometheus, options.picture, options.minutes * 60)
