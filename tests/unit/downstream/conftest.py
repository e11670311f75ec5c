"""Settings of installations with hooks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from mezcal.settings import load
from tests.support.notice_receiver import SECRET

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mezcal.settings import Settings
    from tests.support.broker import Broker


@pytest.fixture
def settings_with(broker: Broker, tmp_path: Path) -> Callable[..., Settings]:
    def make(*urls: str, **given: Any) -> Settings:
        base = {"redis_url": broker.url, "key_prefix": f"{tmp_path.name}{time.time_ns()}:", "data_dir": tmp_path}
        return load(_env_file=None, **(base | {"downstream_urls": ",".join(urls), "downstream_secret": SECRET} | given))

    return make
