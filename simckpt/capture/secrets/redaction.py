"""Takes secrets out of texts, arguments and addresses before they become part of a record.

When in doubt the text goes: a record with a gap is worth more than one that nobody may share.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from .assigned import NEVER_A_SETTING, without_assigned
from .marks import MARK, marked, near_hints
from .quoted import without_quoted
from .sections import without_sections
from .shapes import BLOCKS, NAME, SECRET_NAMES, SHAPES, WEBHOOKS

REDACTED = "***"

_names = "|".join(SECRET_NAMES)

# Every quantifier before something that may fail is bounded: texts of a mebibyte pass here.
_USER = re.compile(
    # scheme://anything@host: all up to the last @ of the authority; a password may hold a slash,
    # and a path that was normalised has lost one of the two at the front.
    r"(?<![A-Za-z0-9+.\-])(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]{0,30}:/{1,2})"
    r"(?P<user>[^\s/?#'\"<>@:]{0,200}:(?!\d+/)[^\s'\"<>@]{1,400}(?:@[^\s/?#'\"<>@]{1,200})??"
    r"|[^\s/?#'\"<>]{0,600})@(?![^\s/?#'\"<>]{0,200}@)"
)
_QUERY = re.compile(
    rf"(?P<name>[?&;#](?:[A-Za-z0-9_.\-]{{0,60}}[_.\-])?(?:{_names}|key|code|jwt|pw|appid))"
    r"=(?P<value>\{[^{}\r\n]{1,200}\}|[^&#;\s'\"<>]+)",
    re.IGNORECASE,
)
_HEADER = re.compile(
    r"(?P<name>\b(?:authorization|proxy-authorization|x-[a-z\-]{0,40}(?:token|key|auth)|cookie"
    r"|set-cookie)['\"]?[ \t]{0,20}[:=][ \t]{0,20}(?:[bruf]{0,2}['\"])?)"
    r"(?P<value>[^'\"\s\[({][^'\"\r\n]*)",
    re.IGNORECASE,
)
_SCHEME = re.compile(
    r"\b(?P<name>bearer|basic|negotiate)[ \t]{1,20}(?P<value>(?=[a-z+/_.~\-]{0,100}[0-9A-Z=])"
    r"[0-9A-Za-z+/=_.~\-]{12,})"
)
_NETRC = re.compile(
    r"(?P<name>(?:\blogin\s{1,20}\S{1,200}\s{1,20}|^[ \t]{0,20})(?:password|account)[ \t]{1,20})"
    r"(?P<value>\S+)(?=[ \t]*$|\s+(?:account|password|macdef|machine)\b)",
    re.MULTILINE,
)
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_LOGINS = frozenset({"ssh", "git+ssh", "sftp", "rsync", "scp", "svn+ssh"})
_PLAIN_WORDS = frozenset({"password", "passwd", "passphrase"})
_WITH_P = frozenset({"sshpass", "docker", "podman", "mysql", "mysqldump", "mariadb", "mongosh"})
"""Programs whose ``-p`` is a password."""
_LOGIN = re.compile(
    r"(?P<name>(?<!\S)(?:-u|--user|--proxy-user|--http-user)[ \t=]{1,4}[^\s:'\"]{1,60}:)"
    r"(?P<value>[^\s'\"]{1,400})"
)
_HEX = re.compile(r"[0-9a-f]{32,64}")
_LOGIN_OPTIONS = frozenset({"-u", "--user", "--proxy-user", "--login", "--http-user"})


def redact_text(text: str) -> str:
    """`text` without the secrets in it, each replaced by ``***``.

    Recognised are private keys, keys of known form, user names and passwords in addresses,
    secret query parameters, authorization headers, and values assigned to a name that says
    secret (``password: x``, ``API_TOKEN=x``, ``"client_secret": "x"``).

    Examples
    --------
    >>> redact_text("https://me:hunter2@example.org/data?token=abc&n=3")
    'https://***@example.org/data?token=***&n=3'
    >>> redact_text("DB_PASSWORD=hunter2 n=512")
    'DB_PASSWORD=*** n=512'
    """
    if len(text) < 4:
        return text
    text = BLOCKS.sub(REDACTED, text)
    text = WEBHOOKS.sub(lambda m: m.group().split("/", 1)[0] + "/" + REDACTED, text)
    text = SHAPES.sub(REDACTED, text)
    text = redact_url(text)
    text = _HEADER.sub(_keep_name, text)
    text = _LOGIN.sub(_keep_name, text)
    text = _SCHEME.sub(rf"\g<name> {REDACTED}", text)
    text = _without_named(without_sections(text, REDACTED))
    return _NETRC.sub(_keep_name, text)


def redact_url(url: str) -> str:
    """`url`, or every address in a text, without user names, passwords and secret parameters.

    The login name of an SSH address stays: ``ssh://git@host/x`` has no secret in it.
    """
    url = SHAPES.sub(REDACTED, url)
    url = _USER.sub(_login, url)
    return _QUERY.sub(rf"\g<name>={REDACTED}", url)


def redact_arguments(arguments: Iterable[str]) -> tuple[str, ...]:
    """Command line arguments without secrets, also those that follow their option.

    Examples
    --------
    >>> redact_arguments(["run.py", "--password", "hunter2", "--n", "512", "--token=x"])
    ('run.py', '--password', '***', '--n', '512', '--token=***')
    """
    result: list[str] = []
    waiting = False
    login = False
    program = False
    for argument in arguments:
        option = argument.startswith("-") and len(argument) > 1
        if waiting and not option:
            result.append(REDACTED)
            waiting = False
            continue
        if login and ":" in argument:
            result.append(f"{argument.partition(':')[0]}:{REDACTED}")
            login = False
            continue
        name, equals, value = argument.partition("=")
        if equals and value and is_secret_name(name.lstrip("-")):
            result.append(f"{name}={REDACTED}")
        elif name in _LOGIN_OPTIONS and ":" in value:
            result.append(f"{name}={value.partition(':')[0]}:{REDACTED}")
        elif program and argument.startswith("-p") and len(argument) > 2:
            result.append(f"-p{REDACTED}")
        elif result and result[-1] == "login" and _HEX.fullmatch(argument):
            result.append(REDACTED)
        else:
            result.append(redact_text(argument))
        told = argument.lstrip("-").lower()
        named = option and not equals and (is_secret_name(told) or told == "pw")
        waiting = named or told in _PLAIN_WORDS or (program and argument == "-p")
        login = argument in _LOGIN_OPTIONS
        program = program or argument.rpartition("/")[2] in _WITH_P
    return tuple(result)


def is_secret_name(name: str) -> bool:
    """Whether a text value under `name` has to be taken for a secret."""
    return NAME.search(_HUMP.sub("_", name)) is not None


def never_a_setting(name: str) -> bool:
    """Whether a number under the name of a secret is one too: a `token` may be a count."""
    return NEVER_A_SETTING.search(name) is not None


def _without_named(text: str) -> str:
    """`text` without what stands beside a name that says secret."""
    text = text.replace(MARK, "\ufffd")
    parts: list[str] = []
    done = 0
    for start, end in near_hints(text):
        parts += [text[done:start], without_quoted(marked(text[start:end]), REDACTED)]
        done = end
    named = "".join([*parts, text[done:]])
    if MARK in named:
        named = without_assigned(named, REDACTED)
    return named.replace(MARK, "")


def _keep_name(match: re.Match[str]) -> str:
    return match["name"] + REDACTED


def _login(match: re.Match[str]) -> str:
    scheme, user = match["scheme"], match["user"]
    if scheme.partition(":")[0].lower() in _LOGINS and ":" not in user:
        return match.group()
    return f"{scheme}{REDACTED}@"
