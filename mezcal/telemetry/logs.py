"""What mezcal says of itself: the form of its logs."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mezcal.settings import Settings

FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


def set_up_logs(settings: Settings) -> None:
    """One line per event on standard error; called once, where a process is put together."""
    logging.basicConfig(level=settings.log_level, format=FORMAT, force=True)
    for noisy in ("urllib3", "PIL", "pyvips", "tifffile", "celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    if settings.max_image_pixels < 0:
        logging.getLogger(__name__).warning(
            "MAX_IMAGE_PIXELS is negative: no limit. Only for repositories whose every file is trusted."
        )
