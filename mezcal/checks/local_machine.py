"""What can be checked on this machine alone: the files of secrets, the decoders, and nginx."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from mezcal.checks import Check, CheckFailed, Severity
from mezcal.runtime.nginx import HOW_TO_GET, nginx
from mezcal.settings import Settings
from mezcal.settings.origins.tables import files_with_secrets
from mezcal.settings.validation import variables_in_file

OVERCOMMIT = Path("/proc/sys/vm/overcommit_memory")


def secrets_check() -> Check:
    """Check that each secret that comes from a file can be read, by the right users alone."""
    return Check("secrets", _check_secrets, "let only the user that mezcal runs as read the file")


def codecs_check() -> Check:
    """Check that masters can be decoded and JPEGs written."""
    return Check("codecs", _check_codecs, "reinstall mezcal: its wheels contain all decoders")


def overcommit_check() -> Check:
    """Check that the kernel lets the broker of this machine fork: it does so to shorten its log."""
    hint = "run `sysctl vm.overcommit_memory=1` as root, and write it to /etc/sysctl.d/mezcal.conf"
    return Check("memory", _check_overcommit, hint)


def nginx_check(settings: Settings) -> Check:
    """Check that a server other than the API serves cached images, as far as this machine can know."""
    return Check("nginx", lambda: _check_nginx(settings), f"{HOW_TO_GET}; else let only this machine reach the API")


def _check_overcommit() -> str:
    try:
        mode = OVERCOMMIT.read_text(encoding="ascii").strip()
    except OSError:
        return "this system has no vm.overcommit_memory"
    if mode == "2":
        raise CheckFailed("vm.overcommit_memory is 2: the broker may not shorten its log", level=Severity.WARNING)
    advice = "; set it to 1 on a machine whose memory is nearly always in use" if mode == "0" else ""
    return f"vm.overcommit_memory is {mode}{advice}"


def _check_nginx(settings: Settings) -> str:
    if settings.sendfile_header is not None:
        return f"the server in front serves cached images ({settings.sendfile_header})"
    program = nginx()
    if program is None:
        raise CheckFailed("none here, so the API serves cached images itself, slower", level=Severity.WARNING)
    return f"{program}, which `mezcal up` starts"


def _check_secrets() -> str:
    files, of_origins = _secret_files(), _files_of_origins()
    for name, file in ({f"{name}_FILE": file for name, file in files.items()} | of_origins).items():
        if Path(file).stat().st_mode & stat.S_IROTH:
            detail = f"{name} names {file}, which has a secret and which all users may read"
            raise CheckFailed(detail, f"chmod o= {file}", Severity.WARNING)
    names = [*files, *(["those of ORIGINS_FILE"] if of_origins else [])]
    return f"{', '.join(names)} from files" if names else "none come from files"


def _secret_files() -> dict[str, str]:
    """Return the file of each secret that NAME_FILE gives. Raises `CheckFailed` if NAME is set in the same place."""
    files: dict[str, str] = {}
    names = [name.upper() for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)]
    for place in (variables_in_file(), os.environ):  # the environment overrides `.env`
        for name in names:
            value, file = place.get(name), place.get(f"{name}_FILE")
            if value and file:
                raise CheckFailed(f"{name} is set, so {name}_FILE is not read", f"unset {name}", Severity.WARNING)
            if value:
                files.pop(name, None)
            elif file:
                files[name] = file
    return files


def _files_of_origins() -> dict[str, str]:
    """Return the files that have secrets of the origins in ORIGINS_FILE, by what names them."""
    file = os.environ.get("ORIGINS_FILE") or variables_in_file().get("ORIGINS_FILE")
    return files_with_secrets(Path(file)) if file else {}


def _check_codecs() -> str:
    from mezcal.checks import decoders  # noqa: PLC0415 - a library that cannot be loaded is a finding, not a traceback

    return decoders.convert_sample()
