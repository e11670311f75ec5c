"""The archive is asked each thing once, nothing after the deadline, and nothing for a client that has left."""

from __future__ import annotations

import threading
import time

import pytest

from api.archive_answers import ArchiveAnswers, Question
from mezcal.errors import Busy, FrameMissing
from mezcal.origin.archive import ArchiveClient, FrameRecord

LATER = time.monotonic() + 3600
TOKEN = "Token of-a-client"


class CountedArchive(ArchiveClient):
    """An archive that has the frames below 100, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[int | str] = []

    def find_frame(self, number: int, authorization: str | None) -> FrameRecord:
        self.asked.append(number)
        threading.Event().wait(0.02)  # so that not all are answered before anybody can stop
        assert authorization == TOKEN
        if number >= 100:
            raise FrameMissing("Not found")
        return FrameRecord({"id": number})

    def find_by_basename(self, basename: str, authorization: str | None) -> FrameRecord:
        self.asked.append(basename)
        return FrameRecord({"id": 7})

    def list_request(self, request_id: str, authorization: str | None) -> list[FrameRecord]:
        self.asked.append(f"request {request_id}")
        return []


@pytest.fixture
def archive() -> CountedArchive:
    return CountedArchive()


@pytest.fixture
def answers(archive: CountedArchive) -> ArchiveAnswers:
    return ArchiveAnswers(archive, TOKEN)


def stays() -> bool:
    return False


def test_each_question_is_asked_once(archive: CountedArchive, answers: ArchiveAnswers) -> None:
    questions = [Question.of_frame(5), Question.of_frame("a"), Question("request", "5"), Question.of_frame(500)]
    for _ in range(2):
        answers.ask(questions * 3, LATER, stays)
    assert sorted(map(str, archive.asked)) == ["5", "500", "a", "request 5"]
    assert answers.find(5) == answers.find_frame(5, TOKEN) == FrameRecord({"id": 5})
    assert answers.find("a").id == 7
    assert answers.list_request("5", TOKEN) == []
    for _ in range(2):
        with pytest.raises(FrameMissing):
            answers.find(500)


def test_what_was_not_asked_in_time_is_busy(archive: CountedArchive, answers: ArchiveAnswers) -> None:
    answers.ask([Question.of_frame(number) for number in range(90)], time.monotonic() - 1, stays)
    assert len(archive.asked) < 90
    with pytest.raises(Busy, match="not asked in time"):
        answers.find(89)


def test_nothing_is_asked_for_a_client_that_has_left(archive: CountedArchive, answers: ArchiveAnswers) -> None:
    answers.ask([Question.of_frame(number) for number in range(90)], LATER, lambda: True)
    assert len(archive.asked) < 90


def test_answers_are_of_one_client(answers: ArchiveAnswers) -> None:
    answers.ask([Question.of_frame(5)], LATER, stays)
    with pytest.raises(AssertionError, match="another client"):
        answers.find_frame(5, None)
