"""`mezcal up` as its user meets it: the command, its one line, its images, its end. Real parts, real processes."""

from __future__ import annotations

import hashlib
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from redis import Redis

from mezcal import sample
from mezcal.runtime.up.remembered_options import saved_options
from tests.support.broker import Broker
from tests.support.commands import as_process, in_fork
from tests.support.origin_server import OriginServer
from tests.support.proc import command_line, descendants, runs
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

MEZCAL = Path(sys.executable).with_name("mezcal")
SAMPLES = Path(sample.__file__).parent
MASTER = "galaxy-16bit.tif"
PARTS = {
    "broker": ["valkey-server"],
    "worker": ["-m worker ", "--hostname=all@"],
    "interactive": ["-m worker ", "--hostname=interactive@"],
    "api": ["gunicorn"],
    "nginx": ["nginx: "],
}
START, STOP = 90, 40  # seconds, on a busy machine
ONE_WORKER = ("--workers", "1")  # a quarter less of a start, for tests that say nothing about the lanes


class Running:
    """One `mezcal up`, with its standard error in a file next to its data folder."""

    def __init__(self, data: Path, *options: str, cwd: Path | None = None, **env: str) -> None:
        self.data, self._log = data, data.with_name(f"{data.name}.stderr")
        inherited = {name: value for name, value in os.environ.items() if name not in {"REPO_BASE_URL", "REDIS_URL"}}
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [MEZCAL, "up", "--port", "0", "--data-dir", data, *options],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=inherited | env,
                cwd=cwd or data.parent,
            )
        self.url = ""

    def ready(self) -> Running:
        """Wait for the ready line."""
        readable, _, _ = select.select([self.process.stdout], [], [], START)
        line = self.process.stdout.readline() if readable else "nothing"
        match = re.fullmatch(r"mezcal is ready at (http://127\.0\.0\.1:\d+/)\n", line)
        assert match, f"{line!r} on stdout; on stderr:\n{self.stderr}"
        self.url = match[1]
        return self

    @property
    def stderr(self) -> str:
        return self._log.read_text()

    @property
    def broker(self) -> Redis:
        return Redis(unix_socket_path=str(self.data / "run" / "broker.sock"), decode_responses=True)

    def image(self, path: str = MASTER) -> requests.Response:
        return requests.get(f"{self.url}images/{path}", timeout=60)

    def family(self) -> dict[int, str]:
        """Returns every process below it, with its command line."""
        return {pid: command_line(pid) for pid in descendants(self.process.pid)}

    def of(self, *words: str) -> list[int]:
        """Returns its processes whose command line has all *words*, the oldest first."""
        return sorted(pid for pid, line in self.family().items() if all(word in line for word in words))

    def output_of(self, *words: str, **env: str) -> str:
        """Returns what another command prints, on stdout and stderr."""
        bare = {name: value for name, value in os.environ.items() if name not in {"REPO_BASE_URL", "REDIS_URL"}}
        command, *rest = words
        done = subprocess.run(
            [MEZCAL, command, "--data-dir", self.data, *rest],
            env=bare | env,
            cwd=self.data.parent,
            capture_output=True,
            text=True,
            timeout=START,
            check=False,
        )
        return f"\n{done.stdout}{done.stderr}"

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(STOP)


@contextmanager
def running(data: Path, *options: str, cwd: Path | None = None, **env: str) -> Iterator[Running]:
    """A `mezcal up` that may fail."""
    mezcal = Running(data, *options, cwd=cwd, **env)
    try:
        yield mezcal
    finally:
        family = mezcal.family()
        mezcal.process.kill()
        mezcal.process.wait()
        mezcal.process.stdout.close()
        until(lambda: not any(map(runs, family)), what="the end of every process")


def refused(*options: str, **env: str) -> str:
    """Start a `mezcal` that must refuse: exit code 2, nothing on stdout. Returns its one line on stderr."""
    start = as_process if options[0] == "up" else in_fork
    ended = start(options, os.environ | env, Path.cwd())
    assert (ended.returncode, ended.stdout) == (2, ""), ended
    assert ended.stderr.count("\n") == 1, ended.stderr
    return ended.stderr


@pytest.fixture(scope="module")
def mezcal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A running `mezcal up`, for tests that do not stop it."""
    with running(tmp_path_factory.mktemp("up") / "data", "--flower", "--flower-port", "0") as one:
        yield one.ready()


def test_shows_a_sample_from_the_first_start(mezcal: Running) -> None:
    answer = mezcal.image()
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/jpeg")
    assert answer.content[:3] == b"\xff\xd8\xff"
    again = mezcal.image()
    assert again.headers["ETag"] == answer.headers["ETag"]
    assert again.content == answer.content


def flower(mezcal: Running, page: str, *, known: bool = True) -> requests.Response:
    """Returns a page of the dashboard, requested with or without its password."""
    (url,) = re.findall(r"the dashboard is at (http://127\.0\.0\.1:\d+/)", mezcal.stderr)
    (kept,) = re.findall(r"\(user mezcal, password in (.+)\)", mezcal.stderr)
    secret = Path(kept).read_text().strip()
    return requests.get(f"{url}{page}", auth=("mezcal", secret) if known else None, timeout=30)


def test_the_dashboard_listens_on_loopback_and_knows_the_worker(mezcal: Running) -> None:
    seen = until(lambda: flower(mezcal, "workers?json=1").json()["data"], what="a worker in Flower")
    assert seen[0]["hostname"].partition("@")[0] in {"all", "interactive"}


@pytest.mark.parametrize("page", ["", "tasks", "broker", "metrics", "api/workers", "api/tasks"])
def test_the_dashboard_shows_nothing_without_its_password(mezcal: Running, page: str) -> None:
    assert flower(mezcal, page, known=False).status_code == 401
    assert flower(mezcal, page).status_code == 200


def test_the_password_of_the_dashboard_is_for_its_owner_alone(mezcal: Running) -> None:
    kept = mezcal.data / "flower" / "password"
    assert kept.stat().st_mode & 0o077 == 0
    assert kept.read_text().strip() not in mezcal.stderr


def shown_by_flower(mezcal: Running, path: str, *states: str) -> dict[str, Any]:
    """Returns the newest task of *path* that Flower shows in one of *states*."""

    def look() -> dict[str, Any] | None:
        tasks = flower(mezcal, "api/tasks").json().values()
        mine = [task for task in tasks if task["args"] == path and task["state"] in states]
        return max(mine, key=lambda task: task["received"]) if mine else None

    found: dict[str, Any] = until(look, what=f"{path} in Flower")
    return found


def test_flower_shows_what_was_made_by_its_path_and_lane(mezcal: Running) -> None:
    assert mezcal.image().status_code == 200
    task = shown_by_flower(mezcal, MASTER, "SUCCESS")
    assert (task["name"], task["kwargs"], task["result"]) == ("mezcal.make", "lane=interactive", f"'made {MASTER}'")
    assert task["runtime"] > 0


def test_flower_shows_a_failed_job_as_failed_with_its_reason(mezcal: Running) -> None:
    assert requests.get(f"{mezcal.url}images/absent.tif", timeout=30).status_code == 404
    task = shown_by_flower(mezcal, "absent.tif", "FAILURE")
    assert task["exception"].startswith("master-missing: ")


def test_the_dashboard_cannot_control_workers(mezcal: Running) -> None:
    (url,) = re.findall(r"the dashboard is at (http://127\.0\.0\.1:\d+/)", mezcal.stderr)
    auth = ("mezcal", (mezcal.data / "flower" / "password").read_text().strip())
    for order in ("worker/shutdown/all@host", "task/revoke/some-task?terminate=true", "task/apply/mezcal.make"):
        answer = requests.post(f"{url}api/{order}", auth=auth, timeout=30)
        assert (answer.status_code, answer.text) == (403, "Read only mode is enabled")


def test_the_broker_is_on_a_private_socket_and_on_no_port(mezcal: Running) -> None:
    assert mezcal.broker.config_get("port")["port"] == "0"
    assert (mezcal.data / "run").stat().st_mode & 0o077 == 0
    assert (mezcal.data / "broker").stat().st_mode & 0o077 == 0
    assert mezcal.broker.config_get("appendonly")["appendonly"] == "yes"
    assert mezcal.broker.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"


def test_whoever_starts_it_on_this_machine_may_change_state(mezcal: Running) -> None:
    assert requests.delete(f"{mezcal.url}images/never/asked/for.tif", timeout=30).status_code == 204


def test_logs_come_under_the_names_of_their_parts(mezcal: Running) -> None:
    names = {line.split(" | ")[0].strip() for line in mezcal.stderr.splitlines()}
    assert names <= {"up", "broker", "worker", "interactive", "api", "nginx", "flower"}
    assert "worker" in names


def test_the_first_line_is_ours_and_none_is_of_what_nobody_can_act_on(mezcal: Running) -> None:
    first = mezcal.stderr.splitlines()[0]
    assert first.startswith("up ")
    assert "starting broker, " in first
    assert "masters: the built-in samples" in first
    for noise in ("overcommit", "Inspect method", "Registered tasks", "celery.chunks", "SecurityWarning"):
        assert noise not in mezcal.stderr


def test_a_port_in_use_is_one_line(mezcal: Running, tmp_path: Path) -> None:
    port = mezcal.url.rstrip("/").rpartition(":")[2]
    error = refused("--port", port, "--data-dir", str(tmp_path / "data"))
    assert port in error
    assert "in use" in error


def test_a_data_folder_in_use_is_one_line(mezcal: Running) -> None:
    error = refused("--port", "0", "--data-dir", str(mezcal.data))
    assert str(mezcal.data) in error
    assert str(mezcal.process.pid) in error, "the process to stop"
    assert mezcal.image().status_code == 200


@pytest.mark.parametrize(
    ("victim", "path"),
    [
        ("broker", "agave-p3.tif"),
        ("worker", "plate-cmyk.tif"),
        ("interactive", "manuscript-bilevel.tif"),
        ("api", "portrait-rotated.tif"),
        ("nginx", "maps/valley.tif"),
    ],
)
def test_a_part_that_is_killed_is_back_soon_and_images_are_made(mezcal: Running, victim: str, path: str) -> None:
    before = mezcal.of(*PARTS[victim])
    os.kill(before[0], signal.SIGKILL)
    until(lambda: set(mezcal.of(*PARTS[victim])) - set(before), what=f"another {victim}")
    until(lambda: made(mezcal, path), seconds=60, what="an image")
    assert f"{victim} ended with signal SIGKILL; starting it again in" in mezcal.stderr
    until(lambda: not any(map(runs, before)), what="the end of all its processes")


def test_hits_go_on_while_the_api_is_killed_and_started_again(mezcal: Running) -> None:
    assert mezcal.image().status_code == 200
    before = mezcal.of("gunicorn")
    os.kill(before[0], signal.SIGKILL)
    ready = lambda: requests.get(f"{mezcal.url}healthz", timeout=30).status_code == 200  # noqa: E731
    until(lambda: mezcal.image().headers["Cache-Status"] == "mezcal; hit" and not any(map(runs, before)))
    until(lambda: mezcal.image().headers["Cache-Status"] == "mezcal; hit" and ready(), what="the next API")


def test_without_nginx_the_api_has_the_port_itself(tmp_path: Path) -> None:
    with running(tmp_path / "data", *ONE_WORKER, "--nginx", "never") as alone:
        assert alone.ready().image().status_code == 200
        assert not alone.of("nginx: ")
        assert alone.image().headers["Server"] == "gunicorn"
        assert "nginx is not started" not in alone.stderr, "the option says so"
        assert alone.stop() == 0


def test_another_server_that_sends_the_files_is_left_to_do_so(tmp_path: Path) -> None:
    with running(tmp_path / "data", *ONE_WORKER, SENDFILE_HEADER="X-Sendfile") as alone:
        assert alone.ready().image().headers["X-Sendfile"].endswith(f"{MASTER}/image.jpg")
        assert not alone.of("nginx: ")
        assert alone.stderr.count("nginx is not started: SENDFILE_HEADER=X-Sendfile") == 1


def made(mezcal: Running, path: str) -> bool:
    try:
        return mezcal.image(path).status_code == 200
    except requests.ConnectionError:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_leaves_nothing_but_what_the_next_start_goes_on_with(tmp_path: Path, number: signal.Signals) -> None:
    data = tmp_path / "data"
    with running(data) as first:
        etag = first.ready().image().headers["ETag"]
        first.broker.set("kept", "yes")
        family = first.family()
        assert first.stop(number) == 0
        assert first.process.stdout.read() == "", "one line was all"
        assert not any(map(runs, family))
        assert {path.name for path in (data / "run").iterdir()} == {"up.lock", "parts.lock", "options.json"}
        assert not (data / "run" / "up.lock").read_text()
    with running(data, *ONE_WORKER) as second:
        answer = second.ready().image()
        assert (answer.status_code, answer.headers["ETag"]) == (200, etag)
        assert second.broker.get("kept") == "yes"
        assert "made" not in second.stderr, "it was in the cache"


def test_kill_9_ends_every_process_and_the_folder_can_be_used_at_once(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running(data) as first:
        first.ready().broker.set("kept", "yes")
        family = first.family()
        assert len(family) >= 8, family
        first.process.kill()
        with running(data, *ONE_WORKER) as second:
            assert second.ready().image().status_code == 200
            assert second.broker.get("kept") == "yes"
            assert not any(map(runs, family))


def test_a_folder_is_an_origin_and_folders_may_have_any_name(tmp_path: Path) -> None:
    masters = tmp_path / "100% of our màsters"
    masters.mkdir()
    shutil.copy(SAMPLES / MASTER, masters / "eins zwei.tif")
    data = tmp_path / ("long and spaced " * 8) / "dätà"
    data.parent.mkdir()
    with running(data, *ONE_WORKER, "--origin", str(masters)) as mezcal:
        assert mezcal.ready().image("eins%20zwei.tif").status_code == 200
        assert mezcal.output_of("check", "eins zwei.tif").count("\nok ") > 8, "with a socket in another folder"
        private = Path(re.findall(r"unixsocket:(\S+)", " ".join(mezcal.family().values()))[0])
        assert private.exists()
        assert private.parent.stat().st_mode & 0o077 == 0
        assert mezcal.stop() == 0
        assert not private.parent.exists()


def test_other_commands_use_the_options_of_the_running_one(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with OriginServer() as origin, running(data, *ONE_WORKER, "--origin", origin.url) as mezcal:
        mezcal.ready()
        origin.script("a/one.tif", body=(SAMPLES / MASTER).read_bytes())
        origin.script("two.tif", body=(SAMPLES / MASTER).read_bytes())
        assert "2 made" in mezcal.output_of("warm", "--wait", "a/one.tif", f"{origin.url}two.tif")
        assert mezcal.image("two.tif").headers["Cache-Status"] == "mezcal; hit"
        assert re.search(rf"^ok +origin +{origin.url}", mezcal.output_of("check"), re.MULTILINE)
        assert "2 purged" in mezcal.output_of("purge", "--yes", "a/one.tif", f"{origin.url}two.tif")
        assert f"{SAMPLES.as_uri()}/ can be" in mezcal.output_of("check", REPO_BASE_URL=SAMPLES.as_uri()), (
            "explicit variables override options"
        )
        assert mezcal.stop() == 0
        assert saved_options(data / "run") is None


def test_settings_of_the_folder_it_is_started_in_reach_every_part(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "STORAGE_LAYOUT=md5_encoded\nSTORAGE_DIR=elsewhere\nAPI_PROCESSES=1\nWAIT_SECOND=4321\n"
    )
    (tmp_path / "worker.py").write_text("raise SystemExit('the wrong worker')")
    with running(tmp_path / "data", *ONE_WORKER, cwd=tmp_path) as mezcal:
        assert mezcal.ready().image().status_code == 200
        named = hashlib.md5(MASTER.encode()).hexdigest()
        assert (tmp_path / "elsewhere" / named / "image.jpg").exists()
        assert len(mezcal.of("gunicorn")) == 2, "the master and one process"
        assert len(mezcal.of(*PARTS["worker"])) == 2
        assert mezcal.stderr.count("WAIT_SECOND is not a setting of mezcal; did you mean WAIT_SECONDS?") == 1
        assert "4321" not in mezcal.stderr


def test_a_broker_that_is_given_is_waited_for_and_used(tmp_path: Path) -> None:
    given = Broker(tmp_path)
    with running(tmp_path / "data", *ONE_WORKER, REDIS_URL=given.url) as mezcal:
        until(lambda: f"waiting for {given.url}" in mezcal.stderr, what="word of the waiting")
        given.start()
        try:
            assert mezcal.ready().image().status_code == 200
            assert not mezcal.of("valkey-server")
            with given.client() as client:
                assert client.keys("mezcal:*")
            assert mezcal.stop() == 0
        finally:
            given.stop()


@pytest.mark.parametrize(
    ("options", "env", "named"),
    [
        (("up", "--port", "0"), {"WAIT_SECONDS": "soon"}, "WAIT_SECONDS"),
        (("up", "--port", "0", "--origin", "ftp://example.org/"), {}, "REPO_BASE_URL"),
        (("--port", "0", "--origin", "/no/such/folder"), {}, "/no/such/folder"),
        (("--port", "0"), {"REDIS_URL": "amqp://u:secret@example.org"}, "amqp://example.org"),
        (("--port", "0", "--host", "192.0.2.1"), {}, "192.0.2.1"),
        (("--port", "0", "--data-dir", "/dev/null/x"), {}, "/dev/null/x"),
    ],
)
def test_what_cannot_work_is_said_in_one_line_before_anything_starts(
    tmp_path: Path, options: tuple[str, ...], env: dict[str, str], named: str
) -> None:
    error = refused(*options, **({"DATA_DIR": str(tmp_path / "data")} | env))
    assert named in error
    assert "secret" not in error


def test_a_dashboard_at_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        error = refused("--port", "0", "--flower", "--flower-port", str(port), "--data-dir", str(tmp_path / "data"))
    assert str(port) in error
