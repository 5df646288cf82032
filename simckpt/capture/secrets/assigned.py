"""Values that are assigned to a name that says secret: in settings, code, diffs and logs.

A value is found by how it begins: a quoted text, a bracket, a call, a heredoc, a plain word, or
nothing, when the indented lines below hold it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from .calls import AFTER_CALL, CALL, LITERAL, asks, without_arguments
from .groups import (
    LONGEST,
    NUMBER,
    block_at,
    closed_at,
    indent_of,
    text_closed_at,
    without_block,
    without_values,
)
from .marks import MARK

# Of a field that declares its type, such as ``password: str = "x"``.
_TYPED = (
    r":[ \t]{0,20}(?:[\w.]{1,30}\[){0,2}[\w.]{0,20}(?:[Ss]tr|[Bb]ytes|[Tt]ext|int|Any)\]{0,2}"
    r"(?:[ \t]{0,4}\|[ \t]{0,4}None)?[ \t]{0,20}="
    r"|::\w[\w{},.]{0,60}[ \t]{0,20}=(?!=)"
    r"|:[ \t]{0,20}(?:&'static )?[&*\w.]{1,60}(?:\[[^\]\r\n]{0,100}\]{1,3})?"
    r"(?:[ \t]{0,4}\|[ \t]{0,4}\w{1,40}){0,4}"
    r"[ \t]{1,20}=(?=[ \t]{0,20}[rbfuRBFU]{0,2}[\"'(\[{])"
)
_HEAD = re.compile(
    rf"(?P<name>{MARK}"
    r"\\{0,7}['\"]?(?:\]|\[[^\[\]\r\n]{0,60}\]|\([^()\r\n]{0,60}\)(?=[ \t]{0,9}=[^=])"
    r"|\}(?=[ \t]{0,9}=)){0,3}"
    r"(?:[ \t]{1,4}(?:\[\])?string\b)?)"
    r"[ \t]{0,40}"
    rf"(?P<how>{_TYPED}|:=|[+?|]=|=>|<-|::(?=[ \t])|[=!]=|:(?!:)|[=\uff1a\uff1d]"
    r"|(?<=[\"'])[ \t](?=\{))"
)
NEVER_A_SETTING = re.compile(
    r"(?:passw|passphrase|passcode|pwd|secret|pin|otp|key|cred)(?!.*tokens?\W*$)", re.IGNORECASE
)
_CONTAINS_NONE = re.compile(r"sig(?:nature)?\W*$", re.IGNORECASE)
_PLURAL = re.compile(r"(?:s|er|en|li)(?:\W|$)", re.IGNORECASE)
_LINE_START = re.compile(
    r"[+\-]?[ \t]*(?:[-?*#;!]+[ \t]+)*(?:(?:export|readonly|local|set|const|let|var)[ \t]+)?"
    r"\\?['\"]?[\w.\-%/]*"
)
_CODE = re.compile(
    r"[+\-]?[ \t]*(?:(?:el)?if|while|for|with|except|class|def|case|async|return|assert|else)\b"
    r"|[^\r\n]{0,200}\b(?:lambda|if)\b[^\r\n:]{0,80}$"
)
_DECORATION = re.compile(r"(?:[!&][\w!:./\-\ufdd0]*(?:[ \t]+|(?=\r?\n)))+")
_REST = re.compile(r"[ \t]*(?:#[^\r\n]*)?(?:\r?\n|$)")
_SCALAR = re.compile(r"[|>][+\-\d]{0,2}[ \t]*(?:#[^\r\n]*)?\r?\n")
_QUOTED = re.compile(
    r"(?P<prefix>(?:raw|[rbfuRBFUL]{1,2}|[$@])?)(?P<quote>'''|\"\"\"|'|\")"
    r"(?P<quoted>(?:\\.|(?!(?P=quote))[^\\\r\n])*)(?P<close>(?P=quote))?"
)
_BEHIND_A_TEXT = re.compile(r"\s*(?:[)\]},;:+]|$)")
_NEXT_QUOTED = re.compile(
    r"(?:[ \t]*(?:\+|//|\|\||\.{1,2}|&|\\)[ \t]*&?[ \t]*(?:\r?\n[ \t]*&?[ \t]*)?|[ \t]*)"
    r"(?=[rbfu]{0,2}(?P<quote>['\"]))"
)
_NEXT_ITEM = re.compile(
    r"[ \t]*,[ \t]*(?:\r?\n[ \t]*)?(?=(?P<quote>['\"])(?:(?!(?P=quote))[^\r\n\\])*(?P=quote)"
    r"(?![ \t]*[:=\]]))"
)
_HEREDOC = re.compile(
    r"(?:\$\([ \t]*cat[ \t]*)?<<<?[-~]?[ \t]*['\"]?(?P<word>\w+)['\"]?[^\r\n]*\r?\n"
)
_REFERENCE = re.compile(
    r"(?:\$\{\{[ \t]*[\w.\-\ufdd0]+[ \t]*\}\}|\{\{[ \t]*[\w.\-\ufdd0]+[ \t]*\}\}"
    r"|\$\{[A-Z][A-Z0-9_\ufdd0]*\})"
    r"(?=['\"]?(?:[\s,;)}\]]|$))"
)
_OR_ELSE = re.compile(
    r"[ \t]*(?:\.\w+\([^()\r\n]{0,40}\))*[ \t]*(?:or|\|\||\?\?|else|if [^\r\n]{0,80}? else)[ \t]*"
)
_TYPE_OF_LIST = re.compile(r"[\w.]{1,40}\{")
_SAYS = re.compile(r"\b(?:echo|printf)\b")
_COMPREHENSION = re.compile(r"\bfor\b[\s\S]{1,200}?\bin\b")
_BARE = re.compile(r"[^\s'\",;&|<>]+")
_IN_BACKTICKS = re.compile(r"`[^`\r\n]{0,400}`")
_LINE_END = re.compile(r"[^\r\n]*")
_ATTRIBUTE = re.compile(
    r"(?:self|cls|this|args?|opts?|options|cfg|conf|config|settings|params|var|local|request)"
    r"(?:\.[A-Za-z_][\w\ufdd0]*)+"
)
_COMMENT = re.compile(r"(?:[ \t]+#[^\r\n]*|[ \t]*[,;]?[ \t]*)$")
_LAST_WORD = re.compile(r"[\w.\-]*$")
_CODE_MARKS = re.compile(r"[()\[\]{}=+*\"']")
_WORDS = re.compile(r"(?:[ \t]+[0-9A-Za-z]+)+[ \t]*$")
_NO_VALUES = frozenset(
    {
        *(
            "str",
            "int",
            "float",
            "bool",
            "bytes",
            "string",
            "any",
            "object",
            "optional",
            "callable",
        ),
        *("self", "literal", "none", "null", "nil", "undefined"),
        *("true", "false", "yes", "no", "on", "off"),
    }
)


def without_assigned(text: str, replacement: str) -> str:
    """`text` with each value that is assigned to the name of a secret replaced."""
    return _Reading(text, replacement).result()


@dataclass
class _Reading:
    """One text, read from its begin to its end."""

    text: str
    replacement: str
    left: int = field(init=False)

    def __post_init__(self) -> None:
        # Brackets that are never closed, one behind the other, would be searched again and again.
        self.left = 8 * len(self.text) + LONGEST

    def result(self) -> str:
        parts: list[str] = []
        done = 0
        for head in _HEAD.finditer(self.text):
            if head.start() < done:
                continue
            found = self._value(head)
            if found is not None:
                start, end, shown = found
                parts += [self.text[done:start], shown]
                done = end
        return "".join([*parts, self.text[done:]])

    def _name(self, head: re.Match[str]) -> str:
        """The name itself, which stands before its mark, and what follows it."""
        word = _LAST_WORD.search(self.text, max(0, head.start() - 60), head.start())
        return (word.group() if word else "") + head["name"]

    def _value(self, head: re.Match[str]) -> tuple[int, int, str] | None:
        """Where the value of a name is, and what is shown for it."""
        text, name, how = self.text, self._name(head), head["how"]
        strong = NEVER_A_SETTING.search(name) is not None
        line = text.rfind("\n", max(0, head.start() - 400), head.start()) + 1
        before = text[line : head.start()] if line or head.start() < 400 else "x y"
        own_line = _LINE_START.fullmatch(before) is not None
        start = _past_blanks(text, head.end())
        if text.startswith("\\\n", start):
            start = _past_blanks(text, start + 2)
        if (mark := _DECORATION.match(text, start)) and how != "==":
            start = mark.end()
        if how in ("==", "!="):
            return self._quoted(start, name) if strong else None
        if text.startswith(self.replacement, start) or _REFERENCE.match(text, start):
            return None
        if _REST.match(text, start):
            return self._below(start, line, head, own_line, strong)
        if several := self._several_lines(start, line, head):
            return several
        if quoted := _QUOTED.match(text, start):
            odd = before.count(quoted["quote"]) % 2 and _BEHIND_A_TEXT.match(quoted["quoted"])
            # "Password: " is a question: the quote behind it ends a text and begins none.
            return None if odd else self._quoted(start, name, own_line)
        if text[start] in "([{" or text.startswith("$(", start):
            return self._bracket(start, line, head, strong)
        if how == ":" and _CODE.match(before):
            return None
        call = CALL.match(text, start)
        found = self._call(start, call, strong) if call else None
        if found is None:
            return self._bare(start, line, head, own_line, strong)
        return found if found[1] > found[0] else None

    def _several_lines(
        self, start: int, line: int, head: re.Match[str]
    ) -> tuple[int, int, str] | None:
        """A scalar of YAML in lines of its own, or a heredoc."""
        text = self.text
        if scalar := _SCALAR.match(text, start):
            column = self._column(line, head)
            end = block_at(text, scalar.end(), column, items=False)
            if end > scalar.end():
                block = without_block(text[scalar.end() : end], self.replacement, True, column)
                return scalar.end(), end, block
        here = _HEREDOC.match(text, start)
        if here and self.left > 0:
            last = re.compile(rf"^[ \t]*{here['word']}\b", re.MULTILINE)
            found = last.search(text, here.end(), here.end() + LONGEST)
            self.left -= (found.end() if found else here.end() + LONGEST) - here.end()
            if found:
                return here.end(), found.start(), self.replacement + "\n"
        return None

    def _column(self, line: int, head: re.Match[str]) -> int:
        """Where the first word of the line of a name stands."""
        return indent_of(self.text[line : head.end()])

    def _below(
        self, start: int, line: int, head: re.Match[str], own_line: bool, strong: bool
    ) -> tuple[int, int, str] | None:
        """The value is below its name."""
        text = self.text
        after = text.find("\n", start) + 1
        if not after:
            return None
        first = after + len(text[after : after + 400]) - len(text[after : after + 400].lstrip())
        if text[first : first + 1] in ("{", "[", "(") and (
            "'" in head["name"] or '"' in head["name"]
        ):
            return self._bracket(first, line, head, strong)
        if "=" in head["how"] and _QUOTED.match(text, first):
            return self._quoted(first, self._name(head))
        if not own_line or _CONTAINS_NONE.search(self._name(head)):
            return None
        end = block_at(text, after, self._column(line, head))
        if end == after:
            return None
        return after, end, without_block(text[after:end], self.replacement, strong)

    def _quoted(self, start: int, name: str, own_line: bool = False) -> tuple[int, int, str] | None:
        """A text in quotes, and those that it is joined with."""
        text = self.text
        parts: list[str] = []
        end = position = start
        plural = _PLURAL.search(name) is not None
        while quoted := _QUOTED.match(text, position):
            quote = quoted["quote"]
            stop, closed = quoted.end(), bool(quoted["close"])
            if len(quote) == 3 and not closed:
                close = text.find(quote, quoted.end(), quoted.end() + LONGEST)
                closed = close >= 0
                stop = close + 3 if closed else quoted.end()
            elif not closed and own_line:
                later = text_closed_at(text, stop, quote)
                closed, stop = later > 0, later if later > 0 else stop
            inner = text[quoted.end("quote") : stop - (len(quote) if closed else 0)]
            shown = self.replacement if inner and not _REFERENCE.fullmatch(inner) else inner
            parts += [text[end:position], quoted["prefix"], quote, shown, quote if closed else ""]
            end = stop
            if not closed:
                break
            following = _NEXT_QUOTED.match(text, end)
            if following is None and plural:
                following = _NEXT_ITEM.match(text, end)
            if following is None:
                break
            line = text.rfind("\n", max(0, start - 400), start) + 1 or max(0, start - 400)
            other = following["quote"]
            if following.end() == end and quote != other and text.count(other, line, start) % 2:
                break  # the end of a text around this one
            position = following.end()
        shown = "".join(parts)
        return None if shown == text[start:end] else (start, end, shown)

    def _bracket(
        self, start: int, line: int, head: re.Match[str], strong: bool
    ) -> tuple[int, int, str] | None:
        """A group in brackets; one that is never closed runs as far as its lines are indented."""
        text = self.text
        if _CONTAINS_NONE.search(self._name(head)):
            return None
        end = self._closed(start + (text[start] == "$"))
        if end < 0:
            end = text.find("\n", start) + 1 or len(text)
            end = max(end, block_at(text, end, self._column(line, head)))
            return start, end, without_values(text[start:end], self.replacement, strong)
        if text[start:end] == "[]" and (typed := _TYPE_OF_LIST.match(text, end)):
            return self._bracket(typed.end() - 1, line, head, strong)
        if text[end - 1] in ")]}" and text[end : end + 1].isalnum():
            return self._bare(start, line, head, False, strong)  # {SSHA}x
        group = text[start:end]
        inner = group[1:-1].strip()
        asked = group.startswith("$(") or (group[0] == "(" and CALL.match(inner))
        if (
            asked
            and "<<" not in group
            and not LITERAL.search(group)
            and not _SAYS.search(group)
            and not _looks_random(inner)
        ):
            return None
        if _COMPREHENSION.search(group) and not LITERAL.match(inner):
            return None
        if head["how"] == "==":
            return None
        return start, end, without_values(group, self.replacement, strong)

    def _closed(self, start: int) -> int:
        if self.left <= 0:
            return -1
        end = closed_at(self.text, start)
        self.left -= (end - start) if end >= 0 else min(LONGEST, len(self.text) - start)
        return end

    def _call(self, start: int, call: re.Match[str], strong: bool) -> tuple[int, int, str] | None:
        """A call or a subscript: nothing to replace is a value of no length, None is no call."""
        text = self.text
        end = self._closed(call.end())
        if end < 0 or not AFTER_CALL.match(text, end):
            return None
        group, callee = text[call.end() : end], call["callee"].replace(MARK, "")
        asked = group[0] == "(" and asks(callee)
        shown = group
        if group[0] == "(" and not asked:
            shown = without_arguments(callee, group, self.replacement, strong)
        if other := _OR_ELSE.match(text, end):
            more = self._quoted(other.end(), "") if _QUOTED.match(text, other.end()) else None
            if more:
                before = text[start : call.end()] + shown + text[end : more[0]]
                return start, more[1], before + more[2]
        if asked:
            return start, end, text[start:end]
        if shown == group:
            return start, start, ""
        return call.end(), end, shown

    def _says_nothing(self, value: str, strong: bool) -> bool:
        """Whether a plain word is no secret: a type, a truth value, an attribute, a setting."""
        if not value or value.lower() in _NO_VALUES or value.startswith(self.replacement):
            return True
        number = NUMBER.fullmatch(value) is not None and not strong  # `sig = 0.1`
        return number or _ATTRIBUTE.fullmatch(value) is not None

    def _bare(
        self, start: int, line: int, head: re.Match[str], own_line: bool, strong: bool
    ) -> tuple[int, int, str] | None:
        """A plain word, or the rest of a line of settings and what continues it below."""
        text = self.text
        word = _BARE.match(text, start)
        if word is None:
            return None
        bare = word.group()
        value = bare.rstrip(")}]")
        if self._says_nothing(value, strong):
            return None
        end = word.start() + len(value)
        if text[word.end() : word.end() + 1] in ("'", '"'):
            # What was no call is no word of code either: a password with a quote in it.
            quoted = _QUOTED.match(text, word.end())
            assert quoted is not None
            end = quoted.end()
        while text[end - 1] == "\\" and text[end : end + 1] in ("\r", "\n"):
            line_end = (
                _LINE_END.match(text, text.index("\n", end) + 1)
                if "\n" in text[end : end + 2]
                else None
            )
            if line_end is None:
                break
            end = line_end.end()
        if bare[0] == "`" and (quoted := _IN_BACKTICKS.match(text, start)):
            end = quoted.end()  # what a shell runs, a template of JavaScript
        if not own_line or _CONTAINS_NONE.search(self._name(head)):
            return start, end, self.replacement
        rest = _LINE_END.match(text, end)
        assert rest is not None
        after = rest.group()
        how = head["how"]
        apart = text[head.end() : head.end() + 1] in (" ", "\t")
        if not (apart or _WORDS.match(after)):
            return start, end, self.replacement
        if not strong and (how != ":" or '"' in head["name"]) and _CODE_MARKS.search(after):
            return start, end, self.replacement
        comment = _COMMENT.search(after)
        end = rest.end() - (len(comment.group()) if comment else 0)
        if end < rest.end() or not apart or rest.end() == len(text):
            return start, end, self.replacement
        below = text.find("\n", end) + 1
        stop = (
            block_at(text, below, self._column(line, head), items=False, words=True) if below else 0
        )
        if stop <= below:
            return start, end, self.replacement
        block = without_block(text[below:stop], self.replacement, True, 0)
        return start, stop, self.replacement + text[end:below] + block


def _past_blanks(text: str, start: int) -> int:
    while text[start : start + 1] in (" ", "\t"):
        start += 1
    return start


def _looks_random(text: str) -> bool:
    return len(text) > 16 and re.fullmatch(r"[0-9A-Za-z+/=_\-]+", text) is not None
