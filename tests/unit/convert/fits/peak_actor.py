"""Draws frames, each in a process of its own. Run as a program: prints a line of JSON for each frame.

`asked` are the bytes that were reserved, `took` those that the process had at its peak above its start.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from mezcal.convert import ConversionContext
from mezcal.convert.fits.thumbnail import draw
from mezcal.errors import Failure
from mezcal.recipe import ThumbnailOptions
from mezcal.runtime import memory_budget


def status(name: str) -> int:
    return int(Path("/proc/self/status").read_text().split(f"{name}:")[1].split()[0]) * 1024


def outcome(path: Path, look: str) -> dict[str, object]:
    asked = [memory_budget.STREAMING]
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = status("VmRSS")
    context = ConversionContext(reserve_memory=asked.append, scratch=path.parent)
    try:
        with path.open("rb") as file:
            draw([file], path.with_suffix(f".{os.getpid()}.jpg"), ThumbnailOptions.parse({"look": look}), context)
        slug = "drawn"
    except Failure as failure:
        slug = failure.slug
    return {"frame": path.name, "look": look, "outcome": slug, "asked": max(asked), "took": status("VmHWM") - before}


if __name__ == "__main__":
    for name in sys.argv[1:]:
        for look in ("lco", "robust"):
            if not os.fork():
                print(json.dumps(outcome(Path(name), look)), flush=True)
                os._exit(0)
            os.wait()
