"""The URL of a hook of DOWNSTREAM_URLS: which kind of cache, where it is, and what it is notified."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

from mezcal.errors import WrongSetting

if TYPE_CHECKING:
    from collections.abc import Mapping

CANTALOUPE, PURGE, CLOUDFRONT, WEBHOOK = "cantaloupe", "purge", "cloudfront", "webhook"
COMMON = frozenset({"profile", "prefix", "again"})
# The options that the URL of each kind may have.
OPTIONS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        CANTALOUPE: COMMON | {"identifier"},
        PURGE: COMMON | {"path", "host", "method"},
        CLOUDFRONT: COMMON | {"path", "endpoint", "region"},
        WEBHOOK: COMMON | {"event", "name"},
    }
)
AGAIN_SECONDS = MappingProxyType({CANTALOUPE: 10, PURGE: 10, CLOUDFRONT: 0, WEBHOOK: 0})
AGAIN_MAX = 3600
CHANGE_EVENTS = ("replaced", "deleted")  # of derivatives: what a hook is notified of, if it does not say
JOB_EVENTS = ("made", "failed", "quarantined")  # how jobs end
CALLED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
TEMPLATES = ("path", "identifier")  # the options that have placeholders
TEMPLATES_MAX = 8
PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
PLACEHOLDERS = ("url", "path", "identifier", "page", "profile")
METHOD = re.compile(r"[A-Z]{2,20}")
DISTRIBUTION = re.compile(r"[A-Za-z0-9]{5,40}")
EXAMPLES = (
    "cantaloupe+http://user:password@host:8182/tasks, purge+http://varnish:6081, cloudfront://E2EXAMPLE "
    "or webhook+https://host/path"
)


@dataclass(frozen=True, slots=True)
class HookAddress:
    """One hook. *url* is what is requested, for CloudFront the id of the distribution, without user and options."""

    kind: str
    url: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> HookAddress:
        """Read *text*. Raises `WrongSetting` with one line, without the password."""
        try:
            parts = urlsplit(text.strip())
            port = f":{parts.port}" if parts.port else ""
        except ValueError:
            raise WrongSetting("the URL of a hook cannot be read: its port must be a number") from None
        if parts.fragment or "@" in parts.query:
            raise WrongSetting("the URL of a hook cannot be read: write ? # @ and , in a password as %3F %23 %40 %2C")
        kind, _, scheme = parts.scheme.partition("+")
        if kind not in OPTIONS or not parts.hostname or (kind == CLOUDFRONT) != (scheme not in {"http", "https"}):
            several = "" if parts.scheme else ". An option with several values is repeated: event=made&event=failed"
            raise WrongSetting(
                f"the URL of a hook begins with {parts.scheme or 'no scheme'}: it may be {EXAMPLES}{several}"
            )
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        authority = parts.netloc.rpartition("@")[2] if kind == CLOUDFRONT else f"{host}{port}"
        url = authority if kind == CLOUDFRONT else f"{scheme}://{authority}{parts.path}"
        user, password = (unquote(word) if word else None for word in (parts.username, parts.password))
        address = cls(kind, url, user, password, _options(parts.query))
        address.check()
        return address

    def check(self) -> None:
        """Raise `WrongSetting` if an option is unknown or cannot be used."""
        if unknown := sorted(set(self.options) - OPTIONS[self.kind]):
            allowed = ", ".join(sorted(OPTIONS[self.kind]))
            raise WrongSetting(f"a hook of the kind {self.kind} has the option {unknown[0]}: it may have {allowed}")
        if empty := sorted(name for name, values in self.options.items() if not all(values)):
            raise WrongSetting(f"the option {empty[0]} of a hook is empty: give it a value, or leave {empty[0]}= out")
        if self.kind == CLOUDFRONT and not DISTRIBUTION.fullmatch(self.url):
            raise WrongSetting("the URL of a CloudFront hook must be cloudfront:// and the id of a distribution")
        again = self.one("again")
        if again is not None and not (again.isdecimal() and again.isascii() and int(again) <= AGAIN_MAX):
            raise WrongSetting(f"again={again} of a hook must be whole seconds up to {AGAIN_MAX}, 0 for never")
        if not METHOD.fullmatch(self.one("method") or PURGE.upper()):
            raise WrongSetting(f"method={self.one('method')} of a hook must be in capitals, as PURGE")
        self._check_filters()
        self._check_templates()

    def _check_filters(self) -> None:
        if unknown := sorted(set(self.events) - {*CHANGE_EVENTS, *JOB_EVENTS}):
            known = ", ".join((*CHANGE_EVENTS, *JOB_EVENTS))
            raise WrongSetting(
                f"event={unknown[0][:40]} of a hook must be one of {known}; for several, write event= once for each"
            )
        for prefix in self.prefixes:
            if not prefix or prefix.startswith("/"):
                raise WrongSetting(f"prefix={prefix[:60]} of a hook must be the beginning of a path, such as books/")
        if self.called and not CALLED.fullmatch(self.called):
            raise WrongSetting(f"name={self.called[:60]} of a hook may have up to 40 letters, digits, and . _ -")
        if self.called and self.is_told_of_changes:
            raise WrongSetting(f"a hook with a name can only have the events {', '.join(JOB_EVENTS)}: it is of lists")

    def _check_templates(self) -> None:
        templates = [template for name in TEMPLATES for template in self.options.get(name, ())]
        if len(templates) > TEMPLATES_MAX:
            raise WrongSetting(f"a hook has {len(templates)} templates: {TEMPLATES_MAX} are allowed")
        for template in templates:
            for name in PLACEHOLDER.findall(template):
                if name not in PLACEHOLDERS:
                    known = ", ".join(f"{{{known}}}" for known in PLACEHOLDERS)
                    raise WrongSetting(f"{{{name[:20]}}} in a hook is no placeholder: it may have {known}")
            if self.kind != CANTALOUPE and not template.startswith(("/", "{url}")):
                raise WrongSetting(f"path={template[:60]} of a hook must begin with a slash, or with {{url}}")

    def one(self, name: str) -> str | None:
        """Returns the last value of the option *name*, None if it has none."""
        values = self.options.get(name)
        return values[-1] if values else None

    @property
    def again(self) -> float:
        """Seconds after which each delivery is repeated, 0 for never: an answer may have been under way meanwhile."""
        given = self.one("again")
        return float(AGAIN_SECONDS[self.kind] if given is None else given)

    @property
    def events(self) -> tuple[str, ...]:
        """What it is notified of, of `CHANGE_EVENTS` and `JOB_EVENTS`."""
        return self.options.get("event", JOB_EVENTS if self.called else CHANGE_EVENTS)

    @property
    def is_told_of_changes(self) -> bool:
        """True if it is notified of replaced or deleted derivatives."""
        return not set(CHANGE_EVENTS).isdisjoint(self.events)

    @property
    def job_events(self) -> tuple[str, ...]:
        """Those ends of jobs of which it is notified."""
        return tuple(event for event in JOB_EVENTS if event in self.events)

    @property
    def called(self) -> str:
        """The name by which a list calls it: it is notified of the jobs of such lists alone. "" if it has none."""
        return self.one("name") or ""

    @property
    def prefixes(self) -> tuple[str, ...]:
        """Beginnings of the paths of which it is notified; none means all."""
        return self.options.get("prefix", ())

    @property
    def profiles(self) -> tuple[str, ...]:
        """The profiles of which it is notified; none means all."""
        return self.options.get("profile", ())

    @property
    def name(self) -> str:
        """12 hex digits that name it in Redis: they change with its place and its options, not with its password."""
        canonical = repr((self.kind, self.url, sorted(self.options.items())))
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]

    @property
    def shown(self) -> str:
        """It without user, password, path and options, for logs, pages and metrics."""
        place = self.url if self.kind == CLOUDFRONT else urlsplit(self.url).netloc
        return f"{self.kind} {place} {self.called}".rstrip()


def _options(query: str) -> dict[str, tuple[str, ...]]:
    options: dict[str, tuple[str, ...]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        options[name] = (*options.get(name, ()), value)
    return options
