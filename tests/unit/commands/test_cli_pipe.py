"""The command line at the head of a pipe."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def test_a_reader_that_has_read_enough_ends_a_command_without_a_word(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    mezcal = (sys.executable, "-c", "import sys; from mezcal.cli import main; sys.exit(main())")
    try:
        ended = subprocess.run(
            [*mezcal, "check", "--data-dir", str(tmp_path)],
            cwd=tmp_path,
            stdout=writing,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    finally:
        os.close(writing)
    assert ended.returncode == 141
    assert ended.stderr == b""
