"""Asks the archive for all that one request with many items needs: at once, each thing once, and not for ever."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from mezcal.errors import Busy, Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mezcal.origin.archive import ArchiveClient, FrameRecord

THREADS = 8
CHECK_SECONDS = 0.5  # after which it is looked again whether the client is still there


class Question(NamedTuple):
    """What the archive is asked for: a frame by its id, a frame by its basename, or the frames of a request."""

    kind: Literal["frame", "basename", "request"]
    name: int | str

    @classmethod
    def of_frame(cls, name: int | str) -> Question:
        """Return the question for the frame with this id or basename."""
        return cls("frame" if isinstance(name, int) else "basename", name)


class ArchiveAnswers:
    """The answers of *archive* to one client, refusals among them. They live as long as the client's request.

    Its methods are those of `ArchiveClient`. They raise the archive's refusal, and `Busy` for what was not asked.
    """

    def __init__(self, archive: ArchiveClient, authorization: str | None) -> None:
        self._archive, self._authorization = archive, authorization
        self._answers: dict[Question, Any] = {}

    def ask(self, questions: Iterable[Question], deadline: float, gone: Callable[[], bool]) -> None:
        """Ask the archive all *questions* that were not asked before.

        None is begun after *deadline*, of the monotonic clock, or once *gone* returns True: the client has left.
        """
        new = [question for question in dict.fromkeys(questions) if question not in self._answers]
        with ThreadPoolExecutor(THREADS) as pool:
            asked = {question: pool.submit(self._answer, question) for question in new}
            pending = set(asked.values())
            while pending and time.monotonic() < deadline and not gone():
                pending = wait(pending, CHECK_SECONDS).not_done
            pool.shutdown(cancel_futures=True)
        self._answers |= {question: each.result() for question, each in asked.items() if not each.cancelled()}

    def find(self, name: int | str) -> FrameRecord:
        """Return the frame with this id or basename."""
        record: FrameRecord = self._known(Question.of_frame(name), self._authorization)
        return record

    def find_frame(self, number: int, authorization: str | None) -> FrameRecord:
        """Return the frame with this id."""
        record: FrameRecord = self._known(Question("frame", number), authorization)
        return record

    def list_request(self, request_id: str, authorization: str | None) -> list[FrameRecord]:
        """Return the frames of a request that the client may see."""
        records: list[FrameRecord] = self._known(Question("request", request_id), authorization)
        return records

    def _known(self, question: Question, authorization: str | None) -> Any:
        assert authorization == self._authorization, "another client may see other frames"
        answer = self._answers.get(question)
        if isinstance(answer, Failure):
            raise answer
        if answer is None:
            raise Busy("the archive was not asked in time: send the request again, or a shorter list")
        return answer

    def _answer(self, question: Question) -> Any:
        try:
            match question:
                case "frame", int(number):
                    return self._archive.find_frame(number, self._authorization)
                case "basename", name:
                    return self._archive.find_by_basename(str(name), self._authorization)
                case _, name:
                    return self._archive.list_request(str(name), self._authorization)
        except Failure as failure:
            return failure
