"""Take the pictures in docs/images from a demonstration: `make screenshots`. Needs node, npm and Chromium.

Everything shown is real except the counts of the last hour and of each day, which are invented to save their time.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from mezcal.jobs import Jobs, Lane
from mezcal.jobs.recent import RecentDerivatives
from mezcal.recipe import Mezzanine
from tests.support.installation import SAMPLES, running_installation
from tests.support.origin_server import OriginServer
from tests.support.waiting import until

if TYPE_CHECKING:
    from mezcal.jobs import DayCounts, MinuteCounts
    from tests.support.installation import Installation

TO = Path("docs/images")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
MADE = ("maps/valley.tif", "agave-p3.tif", "galaxy-16bit.tif", "plate-cmyk.tif", "portrait-rotated.tif")
SLOW = ("herbarium/1807/sheet-12.tif", "maps/atlas-1888/plate-04.tif")
BROKEN = ("letters/1923/page-3.tif", "letters/1923/page-4.tif", "letters/1923/page-9.tif")
COLOURS = 96  # of the pictures: a quarter of the bytes, without a visible difference
OPS_HEIGHT, PHONE_HEIGHT = 2900, 1900  # what lies below is not loaded


def main() -> int:
    """Show a demonstration to a browser, and keep what it saw."""
    TO.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, OriginServer(SAMPLES) as origin:
        master = (SAMPLES / "maps" / "valley.tif").read_bytes()
        for path in SLOW:
            origin.script(path, body=master, hold_at=int(len(master) * (0.4 + 0.3 * SLOW.index(path))))
        for path in BROKEN[1:]:
            origin.script(path, status=500, fails=-1)
        options = ("--flower", "--flower-port", "0")
        with running_installation(
            Path(folder), origin.url, *options, ORIGIN_RETRIES="0", INTERACTIVE_RESERVE="0"
        ) as installation:
            demonstrate(installation)
            show(installation)
            for path in SLOW:
                origin.script(path, body=master)
    for picture in TO.glob("*.png"):
        shrink(picture)
    return 0


def demonstrate(installation: Installation) -> None:
    """Have images made, some fail and two at work."""
    for path in (*MADE, *BROKEN, "README.md"):
        installation.ask(path)
    installation.request("/ops")
    until(lambda: previewed(installation) == len(MADE), 30, "small pictures")
    jobs = Jobs.of(installation.settings.model_copy(update={"redis_url": _broker(installation)}))
    for path in SLOW:
        jobs.ask(Mezzanine(path), Lane.INTERACTIVE)
    for number in range(40):
        jobs.ask(Mezzanine(f"glass-plates/{number:04}.tif"), Lane.BULK)
    until(lambda: installation.table.depths()["running"] == len(SLOW), 30, "two jobs at work")
    make_up_an_hour(installation.minutes)
    make_up_days(jobs.days)


def previewed(installation: Installation) -> int:
    """Returns the number of previews."""
    recent = RecentDerivatives(installation.table.redis, installation.table.keys)
    return sum(map(bool, recent.previews([Mezzanine(path) for path in MADE]).values()))


def _broker(installation: Installation) -> Any:
    from pydantic import SecretStr  # noqa: PLC0415

    return SecretStr(f"redis+socket://{installation.folder}/data/run/broker.sock")


def make_up_an_hour(minutes: MinuteCounts) -> None:
    """Invent the counts of a morning with some readers of a catalogue and a few failures."""
    now = int(time.time()) // 60
    for ago in range(1, 60):
        wave = 1 + math.sin(ago / 6) + (ago * 7919 % 13) / 13
        made, failed = round(9 * wave), ago % 17 == 3
        counts = {"requests:hit": round(400 * wave), "requests:miss": made, "requests:error": 2 * failed}
        counts |= {"jobs:made": made, "jobs:failed": int(failed), "wait_ms": 900 * made, "work_ms": 700 * made}
        for what in ("wait", "work"):
            counts |= {f"{what}_below:1": made - made // 5, f"{what}_below:2.5": made // 5, f"{what}_below:5": 1}
        minutes.add(now - ago, counts)


def make_up_days(days: DayCounts) -> None:
    """Invent the counts of half a year in which a collection was put online."""
    today = int(time.time()) // 86_400
    for ago in range(180, -1, -1):
        week = 1 + 0.4 * math.sin(ago * math.tau / 7) + (ago * 7919 % 13) / 26
        images = round(240_000 * (1 - math.exp(-(181 - ago) / 60)))
        misses = round(images * week / 100)
        hits = round(misses * (181 - ago) ** 0.5 * 2)
        counts = {"hits": hits, "misses": misses, "failures": ago * 31 % 7 + 40 * (ago == 60)}
        days.set(today - ago, counts | {"images": images, "bytes": images * 4_300_000})


def show(installation: Installation) -> None:
    """Have the browser look at everything."""
    journal = installation.journal.read_text()
    flower = re.findall(r"the dashboard is at (http://\S+/)", journal)[0]
    secret = (installation.folder / "data" / "flower" / "password").read_text().strip()
    wanted = [
        {"url": f"{installation.url}/", "out": "home.png", "height": 1100},
        {"url": f"{installation.url}/ops", "out": "ops.png", "height": OPS_HEIGHT},
        {
            "url": f"{installation.url}/ops",
            "out": "ops-phone.png",
            "width": 390,
            "height": PHONE_HEIGHT,
            "scheme": "dark",
        },
        {"url": f"{flower}workers", "out": "flower-workers.png", "height": 480},
        {"url": f"{flower}tasks", "out": "flower-tasks.png", "height": 760},
        {"url": f"{flower}tasks", "out": "flower-task.png", "height": 900, "follow": "FAILURE"},
        {"url": f"{flower}broker", "out": "flower-broker.png", "height": 400},
    ]
    asked = {"chromium": CHROMIUM, "folder": str(TO.absolute()), "password": secret, "pages": wanted}
    subprocess.run(["node", "tools/screenshots/take.mjs", json.dumps(asked)], check=True, timeout=300)  # noqa: S607


def shrink(picture: Path) -> None:
    """Leave *picture* fewer colours."""
    with Image.open(picture) as image:
        fewer = image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    fewer.save(picture, optimize=True)


if __name__ == "__main__":
    sys.exit(main())
