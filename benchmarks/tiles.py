"""Tiles of 512 pixels: what an image server spends on one, from the pyramid and from the JPEG of the same master.

    python -m benchmarks.tiles [--megapixels 100 400] [--tiles 40] [--pyramid vips] [--folder F]

`mezcal up` serves a folder with one master of each size and makes both derivatives. Then all is warm, and the same
random tiles are cut from the local files: by libvips (pyvips; each tile opens its file), and by iiif-processor (npm),
which gets the whole file as a stream twice for each tile, or only its name. IIPImage (Debian: iipimage-server; one
process, on loopback) reads the pyramid alone. geotiff (npm) reads it by HTTP ranges from nginx in front of mezcal. The
npm packages are installed into the temporary folder. Prints medians of milliseconds and CPU milliseconds for each tile;
for ranges, also bytes and requests.

Tiles are of the master's own size: there a JPEG costs most. `--scales` has others, for example 1 4 16.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.convert import make
from mezcal.runtime.nginx import nginx

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
MEZCAL = str(Path(sys.executable).with_name("mezcal"))
IIPSRV = Path("/usr/lib/iipimage-server/iipsrv.fcgi")
PACKAGES = ("iiif-processor@7.0.0", "geotiff@3.0.5")
EDGE = 512
WAIT = 300  # seconds, for a derivative
IIP_PORT = 19_765
NGINX = """
daemon off; pid {run}/nginx.pid; error_log {run}/nginx.log; worker_processes 1;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {run}/1; proxy_temp_path {run}/2; fastcgi_temp_path {run}/3; uwsgi_temp_path {run}/4;
    scgi_temp_path {run}/5;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            fastcgi_pass 127.0.0.1:{iip};
            fastcgi_param REQUEST_METHOD $request_method;
            fastcgi_param SERVER_PROTOCOL $server_protocol;
            fastcgi_param QUERY_STRING $query_string;
        }}
    }}
{front}
}}
"""


@dataclass(frozen=True, slots=True)
class RandomTile:
    """One tile of the picture shrunk by *scale*; *left* and *top* are pixels of that."""

    scale: int
    left: int
    top: int

    @property
    def region(self) -> str:
        """The tile as IIIF has it."""
        box = (edge * self.scale for edge in (self.left, self.top, EDGE, EDGE))
        return f"{','.join(map(str, box))}/{EDGE},"

    @property
    def level(self) -> int:
        return self.scale.bit_length() - 1


def main() -> None:
    given = arguments()
    print(f"load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory(dir=given.folder) as name, ExitStack() as stack:
        folder = Path(name)
        scripts = node_scripts(folder / "node")
        for megapixels in given.megapixels:
            (folder / "masters").mkdir(exist_ok=True)
            make("plain", megapixels, folder / "masters" / f"{megapixels:g}.tif")
        url = stack.enter_context(running_mezcal(folder))
        for megapixels in given.megapixels:
            report(f"{megapixels:g}.tif", given, folder, url, scripts)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--megapixels", type=float, nargs="+", default=[100, 400])
    parser.add_argument("--tiles", type=int, default=40)
    parser.add_argument("--scales", type=int, nargs="+", default=[1])
    parser.add_argument("--pyramid", choices=["mezcal", "vips"], default="mezcal", help="who makes the pyramid")
    parser.add_argument("--folder")
    return parser.parse_args()


def report(master: str, given: argparse.Namespace, folder: Path, url: str, scripts: Path | None) -> None:
    jpeg, pyramid = derivatives(master, given, folder, url)
    tiles = random_tiles(pyramid, given)
    few = tiles[: max(4, given.tiles // 4)]  # of the JPEG, which takes seconds each
    sizes = f"JPEG {jpeg.stat().st_size / 1e6:.0f} MB, pyramid {pyramid.stat().st_size / 1e6:.0f} MB"
    print(f"\n{master}: {sizes}; medians of {len(tiles)} tiles ({len(few)} of the JPEG), ms and CPU ms", flush=True)
    compare("libvips", cut_by_vips(jpeg, few), cut_by_vips(pyramid, tiles))
    if scripts:
        for way in ("stream", "file"):
            by_jpeg, by_pyramid = (by_iiif_processor(scripts, way, *work) for work in ((jpeg, few), (pyramid, tiles)))
            compare(f"iiif-proc. {way}", by_jpeg, by_pyramid)
    by_iipimage(folder, url, master, pyramid, tiles)
    if scripts and given.pyramid == "mezcal":
        by_geotiff(scripts, f"{url}/derivatives/pyramid/{master}.tif", tiles)


def derivatives(master: str, given: argparse.Namespace, folder: Path, url: str) -> tuple[Path, Path]:
    """Returns the files of the JPEG and of the pyramid of *master*, made by mezcal; or the pyramid by libvips."""
    import pyvips

    fetch(f"{url}/images/{master}")
    jpeg = next((folder / "data").glob(f"cache-*/{master}/image.jpg"))
    pyramid = jpeg.with_name("pyramid.tif")
    if given.pyramid == "mezcal":
        fetch(f"{url}/derivatives/pyramid/{master}.tif")
    else:
        options = {"tile": True, "tile_width": 256, "tile_height": 256, "pyramid": True, "compression": "jpeg", "Q": 90}
        pyvips.Image.new_from_file(str(folder / "masters" / master)).tiffsave(str(pyramid), **options)
    return jpeg, pyramid


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=WAIT) as answer:
        body: bytes = answer.read()
        return body


def random_tiles(pyramid: Path, given: argparse.Namespace) -> list[RandomTile]:
    """Returns tiles of a IIIF viewer's grid, the same for each server and in each run."""
    import pyvips

    image, choice = pyvips.Image.new_from_file(str(pyramid)), random.Random(4)
    tiles = []
    for _ in range(given.tiles):
        scale = choice.choice(given.scales)
        columns, rows = image.width // scale // EDGE, image.height // scale // EDGE
        tiles.append(RandomTile(scale, choice.randrange(max(1, columns)) * EDGE, choice.randrange(max(1, rows)) * EDGE))
    return tiles


def cut_by_vips(file: Path, tiles: list[RandomTile]) -> list[tuple[float, float]]:
    """Returns seconds and CPU seconds of each tile, cut and encoded in this process as cheaply as libvips can."""
    import pyvips

    pyvips.cache_set_max(0)
    figures = []
    for tile in (tiles[0], *tiles):
        begin, cpu = time.perf_counter(), time.process_time()
        if file.suffix == ".tif":
            image = pyvips.Image.new_from_file(str(file), page=tile.level)
        else:
            shrink = min(8, tile.scale)
            image = pyvips.Image.new_from_file(str(file), access="sequential", shrink=shrink)
            image = image.shrink(tile.scale // shrink, tile.scale // shrink) if tile.scale > shrink else image
        image.crop(tile.left, tile.top, EDGE, EDGE).jpegsave_buffer(Q=85)
        figures.append((time.perf_counter() - begin, time.process_time() - cpu))
    return figures[1:]


def by_iiif_processor(scripts: Path, way: str, file: Path, tiles: list[RandomTile]) -> list[tuple[float, float]]:
    figures = node(scripts, "iiif_tiles", [str(file), way], [tile.region for tile in tiles])
    return [(figure[0], figure[1]) for figure in figures]


def by_iipimage(folder: Path, url: str, master: str, pyramid: Path, tiles: list[RandomTile]) -> None:
    """Print what tiles cost from IIPImage behind nginx alone, and behind an nginx that asks mezcal first."""
    program = nginx()
    if not IIPSRV.exists() or program is None:
        print("  IIPImage: not run, it needs nginx and iipimage-server")
        return
    run = folder / "front"
    run.mkdir(exist_ok=True)
    front = (HERE.parent / "deploy" / "nginx" / "iipimage.conf").read_text()
    for shipped, ours in (
        ("127.0.0.1:5000", url.removeprefix("http://")),
        ("127.0.0.1:9000", f"127.0.0.1:{IIP_PORT}"),
        ("listen 8080", f"listen 127.0.0.1:{IIP_PORT + 2}"),
    ):
        front = front.replace(shipped, ours)
    (run / "nginx.conf").write_text(NGINX.format(run=run, port=IIP_PORT + 1, iip=IIP_PORT, front=front))
    server = [str(IIPSRV), "--bind", f"127.0.0.1:{IIP_PORT}"]
    web = [str(program), "-e", "stderr", "-p", str(run), "-c", str(run / "nginx.conf")]
    store = pyramid.parent.parent
    environment = {"FILESYSTEM_PREFIX": f"{store}/", "LOGFILE": "/dev/null", "VERBOSITY": "0"}
    mezcals = [int(path.name) for path in Path("/proc").glob("[0-9]*") if str(folder / "data") in _command(path)]
    alone = f"http://127.0.0.1:{IIP_PORT + 1}/?IIIF={pyramid.relative_to(store)}"
    behind = f"http://127.0.0.1:{IIP_PORT + 2}/iiif/{master}"
    for name, base in (("IIPImage alone", alone), ("IIPImage, asking", behind)):
        with process(server, env=os.environ | environment) as iip, process(web) as asking:
            time.sleep(1)
            show(name, timed_tiles(base, tiles, [iip, asking, *mezcals]))


def timed_tiles(base: str, tiles: list[RandomTile], servers: list[int]) -> list[tuple[float, float]]:
    """Returns seconds of each tile over HTTP, and the CPU seconds of all *servers* for the mean tile."""
    fetch(f"{base}/{tiles[0].region}/0/default.jpg")
    walls = []
    cpu = sum(map(cpu_of, servers))
    for tile in tiles:
        begin = time.perf_counter()
        fetch(f"{base}/{tile.region}/0/default.jpg")
        walls.append(time.perf_counter() - begin)
    mean = (sum(map(cpu_of, servers)) - cpu) / len(tiles)  # ticks of 10 ms are too long for one tile
    return [(wall, mean) for wall in walls]


def _command(process: Path) -> str:
    """Returns the command line of an nginx, empty for other processes: idle ones of mezcal would only add noise."""
    try:
        command = (process / "cmdline").read_text()
    except OSError:
        return ""
    return command if "nginx" in command else ""


def by_geotiff(scripts: Path, url: str, tiles: list[RandomTile]) -> None:
    windows = [[tile.level, tile.left, tile.top, tile.left + EDGE, tile.top + EDGE] for tile in tiles]
    result = node(scripts, "geotiff_tiles", [url], windows)
    seconds, size, requests = (statistics.median(column) for column in zip(*result["figures"], strict=True))
    most = max(figure[1] for figure in result["figures"]) / 1000
    taken = f"{size / 1000:.0f} KB (at most {most:.0f}) in {requests:.0f} requests"
    print(f"  {'geotiff':17} {1000 * seconds:7.0f} ms, {taken}")
    print(f"  {'':17} opening {result['opening'][1] / 1000:.0f} KB in {result['opening'][2]} requests", flush=True)


def compare(name: str, jpeg: list[tuple[float, float]], pyramid: list[tuple[float, float]]) -> None:
    first, second = medians(jpeg), medians(pyramid)
    print(f"  {name:17} JPEG {text(first)}   pyramid {text(second)}   CPU 1 : {first[1] / second[1]:.1f}", flush=True)


def show(name: str, figures: list[tuple[float, float]]) -> None:
    if figures:
        print(f"  {name:17} pyramid {text(medians(figures))}", flush=True)


def medians(figures: list[tuple[float, float]]) -> tuple[float, float]:
    return statistics.median(wall for wall, _ in figures), statistics.median(cpu for _, cpu in figures)


def text(figure: tuple[float, float]) -> str:
    return f"{1000 * figure[0]:7.1f} {1000 * figure[1]:7.1f}"


def node_scripts(folder: Path) -> Path | None:
    """Install the npm packages into *folder* and copy our scripts there. Returns None where there is no npm."""
    if not shutil.which("npm") or not shutil.which("node"):
        print("node and npm are missing: iiif-processor and geotiff are not run")
        return None
    folder.mkdir()
    (folder / "package.json").write_text('{"private": true, "type": "module"}\n')
    options = ["--no-audit", "--no-fund", "--silent"]
    subprocess.run(["npm", "install", *options, *PACKAGES], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    for script in (HERE / "node").glob("*.mjs"):
        shutil.copy(script, folder)
    return folder


def node(folder: Path, script: str, words: list[str], work: list[Any]) -> Any:
    command = ["node", f"{script}.mjs", *words]
    done = subprocess.run(command, cwd=folder, input=json.dumps(work), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{script}: {done.stderr[-500:]}")
    return json.loads(done.stdout)


@contextmanager
def running_mezcal(folder: Path) -> Iterator[str]:
    """Run `mezcal up` with its workers and nginx over the folder of masters. Yields its URL."""
    environment = os.environ | {"REPO_BASE_URL": (folder / "masters").as_uri(), "DATA_DIR": str(folder / "data")}
    environment |= {"WAIT_SECONDS": str(WAIT), "MAX_IMAGE_PIXELS": "-1"}
    command = [MEZCAL, "up", "--port", "0", "--workers", "1"]
    with (folder / "out").open("wb") as out, (folder / "log").open("wb") as log:
        running = subprocess.Popen(command, env=environment, cwd=folder, stdout=out, stderr=log)
    try:
        while not (line := (folder / "out").read_text()):
            if running.poll() is not None:
                raise SystemExit((folder / "log").read_text()[-1000:])
            time.sleep(0.1)
        yield line.removeprefix("mezcal is ready at ").strip().rstrip("/")
    finally:
        running.terminate()
        running.wait(60)


@contextmanager
def process(command: list[str], env: dict[str, str] | None = None) -> Iterator[int]:
    running = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL)
    try:
        yield running.pid
    finally:
        running.terminate()
        running.wait(20)


def cpu_of(pid: int) -> float:
    """Returns the CPU seconds of a process and of its children that live."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return sum(_cpu(process) for process in (pid, *map(int, children)))


def _cpu(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
