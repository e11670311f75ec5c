"""Flower's `/metrics`, which is open whatever its password: `worker/celery_hooks/flower.py` closes it."""

from __future__ import annotations

from flower.urls import handlers
from flower.views import BaseHandler
from flower.views.monitor import Metrics


def test_the_page_is_served_by_a_class_that_checks_nothing_before_a_request() -> None:
    assert [handler[1] for handler in handlers if isinstance(handler, tuple) and handler[0] == "/metrics"] == [Metrics]
    assert "prepare" not in vars(Metrics), "Flower closes the page by itself: the replacement can go"
    assert issubclass(Metrics, BaseHandler)


def test_a_page_knows_who_is_signed_in() -> None:
    assert callable(BaseHandler.get_current_user)
