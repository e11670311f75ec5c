"""What is to be seen on this machine: settings, secrets, decoders, clocks, and who makes images."""

from __future__ import annotations

import os
import stat
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mezcal import sample
from mezcal.checks import Check, CheckFailed, Severity
from mezcal.settings import Settings

if TYPE_CHECKING:
    from mezcal.jobs import BrokerProbe, WorkerRegistry

CLOCKS = 5.0  # seconds
SAMPLE = "agave-p3.tif"


def secrets() -> Check:
    """That every secret which is to come from a file does."""
    return Check("secrets", _secrets, "give the file to the user that mezcal runs as, and to nobody else")


def scratch(settings: Settings) -> Check:
    """That masters can be kept while they arrive."""
    return Check("scratch", partial(_scratch, settings), "see to TMP_DIR: its disk, its owner")


def codecs() -> Check:
    """That masters can be decoded and JPEGs be written."""
    return Check("codecs", _codecs, "install mezcal anew: its wheels bring all decoders")


def clock(probe: BrokerProbe) -> Check:
    """That this machine and the broker's agree about the time."""
    return Check("clock", partial(_clock, probe), "let both machines follow NTP")


def no_broker(settings: Settings) -> Check:
    """What there is to say where no broker is named."""
    return Check(
        "broker", partial(_no_broker, settings), "start `mezcal up`, name its folder with --data-dir, or set REDIS_URL"
    )


def workers(registry: WorkerRegistry) -> Check:
    """That somebody makes images."""
    return Check("workers", partial(_workers, registry), "start a worker: `mezcal up` brings one")


def _secrets() -> str:
    named = [name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)]
    files = {name.upper(): os.environ[f"{name.upper()}_FILE"] for name in named if f"{name.upper()}_FILE" in os.environ}
    for name, file in files.items():
        if not Path(file).read_text(encoding="utf-8").strip():
            raise CheckFailed(f"{name}_FILE names {file}, which is empty", "write the secret into it")
        if name in os.environ:
            raise CheckFailed(f"{name} is set, so {name}_FILE is not read", f"unset {name}", Severity.WARNING)
        if Path(file).stat().st_mode & stat.S_IROTH:
            raise CheckFailed(
                f"{name}_FILE names {file}, which everybody may read", f"chmod o= {file}", Severity.WARNING
            )
    return f"{', '.join(files)} from files" if files else "none come from files"


def _scratch(settings: Settings) -> str:
    folder = settings.tmp_dir or settings.cache_dir / ".mezcal" / "scratch"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"\xff")
    return f"{folder} can be written"


def _codecs() -> str:
    """Convert a sample, which asks libvips, a profile and the encoder; ask the other decoders for themselves."""
    import imagecodecs  # noqa: PLC0415 - costs as much as all else here
    import pyvips  # noqa: PLC0415
    from PIL import __version__, features  # noqa: PLC0415

    from mezcal.convert import ConversionContext, ConversionOptions, convert  # noqa: PLC0415
    from mezcal.convert.engines.libvips import LOADERS  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as name, (sample.FOLDER / SAMPLE).open("rb") as master:
        convert(master, Path(name, "sample.jpg"), ConversionContext(ConversionOptions(max_edge=64)))
    missing = [kind for kind, (_, loader) in LOADERS.items() if not pyvips.type_find("VipsOperation", loader)]
    missing += [name for name in ("jpg_2000", "libtiff", "webp") if not features.check(name)]
    if missing:
        raise CheckFailed(f"no decoder for {', '.join(missing)}")
    vips = ".".join(str(pyvips.version(part)) for part in range(3))
    return f"a sample was converted; libvips {vips}, Pillow {__version__}, imagecodecs {imagecodecs.__version__}"


def _clock(probe: BrokerProbe) -> str:
    began = time.time()
    theirs = probe.clock()
    ahead = (began + time.time()) / 2 - theirs
    if abs(ahead) > CLOCKS:
        raise CheckFailed(f"this machine is {abs(ahead):,.1f} s {'ahead of' if ahead > 0 else 'behind'} the broker")
    return f"{abs(ahead) * 1000:.0f} ms from the broker's"


def _no_broker(settings: Settings) -> str:
    raise CheckFailed(f"REDIS_URL is not set, and no `mezcal up` runs in {settings.data_dir.absolute()}")


def _workers(registry: WorkerRegistry) -> str:
    seen = registry.statuses()
    silent = [one.worker.name for one in seen if one.silent]
    there = [one.worker for one in seen if not one.silent]
    if not there:
        raise CheckFailed("none is there: nothing new can be made", level=Severity.WARNING)
    processes = sum(worker.processes for worker in there)
    told = f"{len(there)} with {processes} processes: {', '.join(worker.name for worker in there[:3])}"
    if silent:
        raise CheckFailed(
            f"{told}; silent: {', '.join(silent[:3])}", "see to the hosts of the silent ones", Severity.WARNING
        )
    return told
