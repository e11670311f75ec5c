"""How soon the thumbnails of announced frames are registered with the science archive.

    python -m benchmarks.frames [FRAMES] [--every SECONDS] [--workers N]

Frames of 2048 x 2048 (float32, RICE) are announced on a real RabbitMQ, one a second, as the archive's ingester does. A
fake archive serves the files and takes the registrations; moto is the bucket. All of it runs on this machine. The time
of a frame is from its announcement to its third registration. The processor time of mezcal shows what a machine with
nothing else to do could take. Needs Debian's rabbitmq-server.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
import time
from collections import Counter, defaultdict
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.fits import frame
from tests.faults.test_queues import announce
from tests.support.archive_server import OWNER, ArchiveServer
from tests.support.installation import running_installation
from tests.support.origin_server import OriginServer
from tests.support.proc import descendants
from tests.support.queue_brokers import RabbitMQ
from tests.support.s3_server import running_s3
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.support.installation import Installation

FIELDS = {"site_id": "tst", "instrument_id": "fa01", "observation_day": "2026-11-29"}
SIZES = 3
PATIENCE = 300.0  # seconds after the last announcement


def main() -> None:
    options = _options()
    with (
        tempfile.TemporaryDirectory() as name,
        RabbitMQ(_folder(name, "broker")) as broker,
        OriginServer(Path(name)) as origin,
        ArchiveServer() as archive,
        running_s3(Path(name)) as s3,
    ):
        file = Path(name) / "frame.fits.fz"
        frame(file, 2048, "f4", packed=True)
        url = f"amqp://guest:guest@127.0.0.1:{broker.port}/?exchange=archived_fits"
        given = s3.environment(s3.bucket(), LISTEN_URLS=url, ARCHIVE_API_URL=archive.url, ARCHIVE_TOKEN=OWNER)
        given |= {"ARCHIVE_BUCKET": s3.bucket()}
        workers = ("--workers", str(options.workers))
        with running_installation(Path(name), origin.url, *workers, **given) as installation:
            until(lambda: b"listening to" in installation.journal.read_bytes(), 60, "the listener")
            before = _cpu_seconds(installation)
            announced = _announce_all(broker, archive, file, options)
            _wait(installation, archive, options.frames)
            each = (_cpu_seconds(installation) - before) / options.frames
        _report(archive, announced)
        print(f"{each:.2f} CPU seconds of mezcal for each frame, its idle processes included")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("frames", type=int, nargs="?", default=2000)
    parser.add_argument("--every", type=float, default=1.0, help="seconds between two announcements")
    parser.add_argument("--workers", type=int, default=3)
    return parser.parse_args()


def _folder(name: str, sub: str) -> Path:
    folder = Path(name) / sub
    folder.mkdir()
    return folder


def _announce_all(
    broker: RabbitMQ, archive: ArchiveServer, file: Path, options: argparse.Namespace
) -> dict[str, float]:
    """Announce one frame after the other. Returns when each was announced, by its basename."""
    announced: dict[str, float] = {}
    began, load, pause = time.monotonic(), [], threading.Event()
    for number in range(options.frames):
        pause.wait(max(0.0, began + number * options.every - time.monotonic()))
        frame_id = archive.add(file, **FIELDS)
        announced[f"frame{frame_id}"] = time.time()
        announce(broker, [frame_id])
        load.append(os.getloadavg()[0])
    print(
        f"{os.cpu_count()} cores; load average {min(load):.1f} to {max(load):.1f}, median {statistics.median(load):.1f}"
    )
    return announced


def _wait(installation: Installation, archive: ArchiveServer, frames: int) -> None:
    try:
        until(lambda: len(archive.thumbnails) >= SIZES * frames, PATIENCE, "all registrations")
    except AssertionError as late:
        print(f"{late}; jobs: {installation.table.depths()}")


def _cpu_seconds(installation: Installation) -> float:
    """Return the processor time of all processes of *installation*, also of those that have ended."""
    assert installation.process is not None
    ticks = 0
    for pid in [installation.process.pid, *descendants(installation.process.pid)]:
        with suppress(OSError):  # it has just ended
            ticks += sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def _report(archive: ArchiveServer, announced: dict[str, float]) -> None:
    registered: dict[str, list[float]] = defaultdict(list)
    for moment, record in archive.registered_at:
        registered[record["frame_basename"]].append(moment)
    complete = {name: sorted(moments)[SIZES - 1] for name, moments in registered.items() if len(moments) >= SIZES}
    took = sorted(moment - announced[name] for name, moment in complete.items())
    soon = sum(seconds <= 60 for seconds in took) / len(announced)
    print(f"{len(took)} of {len(announced)} frames have {SIZES} registered thumbnails, {soon:.1%} within 60 s;")
    if len(took) > 1:
        late = statistics.quantiles(took, n=100)
        print(f"median {statistics.median(took):.1f} s, 99 % {late[98]:.1f} s, the last {took[-1]:.1f} s")
    downloads = Counter(target.split("?")[0] for target, _ in archive.requests if target.startswith("/files/"))
    print(f"{sum(downloads.values())} downloads of {len(downloads)} frames")


if __name__ == "__main__":
    main()
