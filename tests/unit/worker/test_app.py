"""The worker's Celery app."""

from __future__ import annotations

import os
import subprocess
import sys

from worker.app import app

EVERY_MODULE = """
import importlib, pkgutil, sys, worker
for module in pkgutil.walk_packages(worker.__path__, "worker."):
    importlib.import_module(module.name)
print(*sys.modules)
"""


def test_importing_the_worker_reads_no_settings_and_neither_astropy_nor_jwt() -> None:
    wrong = os.environ | {"WAIT_SECONDS": "soon"}
    ended = subprocess.run([sys.executable, "-c", EVERY_MODULE], env=wrong, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert not {"astropy", "jwt"} & set(ended.stdout.split())


def test_every_task_of_the_worker_is_in_a_module_that_celery_imports() -> None:
    app.loader.import_default_modules()
    assert {name for name in app.tasks if name.startswith("mezcal.")} == {
        "mezcal.make",
        "mezcal.spread",
        "mezcal.chore",
        "mezcal.revalidate",
        "mezcal.preview",
    }
