"""Have nginx itself judge the configurations that are written for it: the one in deploy/, and each layout's."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from mezcal.runtime.nginx import NginxConfig, configuration, nginx
from mezcal.settings import Layout, load


def main() -> int:
    """Test all configurations. Returns the exit code. Without nginx, it only prints that nothing was tested."""
    program = nginx()
    if program is None:
        print("no nginx here: its configuration is not tested", file=sys.stderr)
        return 0
    with tempfile.TemporaryDirectory() as name:
        run = Path(name)
        shipped = Path("deploy/nginx/nginx.conf").read_text(encoding="utf-8")
        for theirs, ours in (
            ("/tmp/nginx", name),  # noqa: S108 - a text
            ("api:5000", "127.0.0.1:1"),
            ("listen 80;", "listen 127.0.0.1:8080;"),
        ):
            shipped = shipped.replace(theirs, ours)  # nginx opens what it tests: a port below 1024 is for root
        texts = {"deploy/nginx/nginx.conf": shipped}
        if has_module(program, "sub"):  # the packaged nginx has not
            texts["deploy/nginx/iipimage.conf"] = in_front_of_iipimage(run)
        for layout in Layout:
            config = NginxConfig("127.0.0.1:8080", "127.0.0.1:5000", run)
            texts[layout] = configuration(load(_env_file=None, storage_layout=layout), config)
        return max(judged(program, run, what, text) for what, text in texts.items())


def has_module(program: Path, name: str) -> bool:
    """Returns True if *program* was built with the HTTP module *name*."""
    shown = subprocess.run([str(program), "-V"], capture_output=True, text=True, check=True).stderr
    return f"--with-http_{name}_module" in shown


def in_front_of_iipimage(run: Path) -> str:
    """Returns a whole configuration with the file that is included for IIPImage."""
    temporary = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    folders = "".join(f'{name}_temp_path "{run}/{name}";\n' for name in temporary)
    included = Path("deploy/nginx/iipimage.conf").read_text(encoding="utf-8")
    included = included.replace("listen 8080;", "listen 127.0.0.1:8080;")
    return f'pid "{run}/nginx.pid";\nevents {{ }}\nhttp {{\naccess_log off;\n{folders}{included}}}\n'


def judged(program: Path, run: Path, what: str, text: str) -> int:
    """Run `nginx -t` on *text* and print its errors. Returns its exit code."""
    written = run / "nginx.conf"
    written.write_text(text, encoding="utf-8")
    words = [str(program), "-t", "-q", "-e", "stderr", "-p", str(run), "-c", str(written)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{what}:\n{done.stderr}", file=sys.stderr)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
