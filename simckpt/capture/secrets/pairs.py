"""A name that says secret in one place and its value in the next: in calls, tables and options.

Here are pairs that stand apart by the grammar of what they are written in: the arguments of a
call, a `name` and a `value` of a mapping, the elements of XML, the words of a command.
"""

from __future__ import annotations

import re

from .marks import MARK
from .shapes import SECRET_NAMES

_names = "|".join(SECRET_NAMES)
_words = rf"(?:pass(?:word|wd|phrase|code)s?|passwor[td]e?|kennwort|pwd){MARK}"
_named = rf"[\w.\-]{{0,80}}{MARK}"
_text = rf"[^'\"\r\n{MARK}][^'\"\r\n]{{0,2000}}"
_arguments = r"(?:[^()'\"\r\n]|'[^'\r\n]{0,200}'|\"[^\"\r\n]{0,200}\"){0,100}?"
_quote = r"[bruf]{0,2}['\"]"
_option = rf"--?[\w\-]{{1,100}}{MARK}"

_NO_VALUE = (
    rf"(?!-|{_named}['\"]|(?:[<>=|]?[a-zA-Z]\d{{1,2}}|u?int\d+|float\d+|str|bytes|object|string"
    r"|user(?:name)?|login|e?mail|id|name|key|value|host|port|db|database|none|null)['\"])"
)
"""Not another name, and no dtype."""

_SOURCES = (
    # {"name": "DB_PASSWORD", "value": "x"}, <property name="db.password" value="x"/>
    (
        rf"(?P<name>\b(?:name|key|id|variable|field|property)\\{{0,3}}['\"]?\s{{0,9}}[:=]\s{{0,9}}"
        rf"\\{{0,3}}['\"]?{_named}\\{{0,3}}['\"]?(?=[\s,;'\"\\])[^{{}}<>\[\]]{{0,160}}?"
        r"\b(?:value|val|default|content|string_value|text)\\{0,3}['\"]?\s{0,9}[:=]\s{0,9}"
        r"\\{0,3}['\"]?)"
        r"(?P<value>(?<=['\"])[^'\"\r\n\\]{1,2000}|(?<!['\"])[^\s,'\"}\]\\][^\r\n,}'\"]{0,2000})"
    ),
    # the same with the value first
    (
        r"(?P<name>\b(?:value|default|content)\\{0,3}['\"]?\s{0,9}[:=]\s{0,9}\\{0,3}['\"]?)"
        r"(?P<value>(?<=['\"])[^'\"\r\n\\]{1,400}|(?<!['\"])[^\s,'\"}\]\\][^\r\n,}'\"]{0,400})"
        rf"(?=\\{{0,3}}['\"]?[\s,;]{{1,60}}['\"\\]{{0,4}}(?:name|key|id)\\{{0,3}}['\"]?\s{{0,9}}[:=]\s{{0,9}}"
        rf"\\{{0,3}}['\"]?{_named}\\{{0,3}}(?:['\"]|\s|$))"
    ),
    # <entry key="password">x, <name>password</name><value>x, <password><![CDATA[x
    (
        rf"(?P<name><\w[\w:.\-]{{0,40}}\s[^<>]{{0,100}}\b(?:key|name|id)\s?=\s?['\"]{_named}['\"]"
        r"[^<>/]{0,100}>\s{0,80}(?:<value>\s{0,80})?)(?P<value>[^<\s][^<]{0,2000})"
    ),
    (
        rf"(?P<name>{MARK}\s{{0,9}}</[\w:.\-]{{1,40}}>\s{{0,80}}<[\w:.\-]{{1,40}}>\s{{0,40}})"
        r"(?P<value>[^<\s][^<]{0,2000})"
    ),
    rf"(?P<name>{MARK}(?:\s[^<>]{{0,200}})?>\s{{0,40}}<!\[CDATA\[)(?P<value>[^\]]{{1,2000}})",
    # password, a colon on the next line: a YAML key by itself
    (
        rf"(?P<name>\?[ \t]{{1,9}}['\"]?{_named}['\"]?[ \t]{{0,9}}\r?\n[ \t]{{0,80}}:[ \t]{{1,9}})"
        rf"(?P<value>[^\r\n]{{1,2000}})"
    ),
    # the anchor of a value
    rf"(?P<name>(?<=[ \t:])&{_named}[ \t]{{1,9}})(?P<value>[^\s&|>][^\r\n]{{0,2000}})",
    # a call of set_password, or of Credentials, with the secret as its last text
    (
        r"(?P<name>(?:\b(?:set|put|add|create|update|change|store|check|verify|hash|make)_?"
        rf"(?:{_names})|\b(?:secret(?:str|bytes)?|password|credentials?)|(?:basic|digest)_?auth)"
        rf"\s?\({_arguments}['\"])(?P<value>{_text})(?=['\"]\s{{0,20}},?\s{{0,20}}\))"
    ),
    # a login of a user by a password
    (
        rf"(?P<name>\b(?:log_?in|sign_?in|authenticate|connect|userpass\w{{0,20}})\s?\({_arguments}['\"]"
        rf"[^'\"\r\n]{{0,200}}['\"]\s{{0,9}},\s{{0,9}}['\"])"
        rf"(?P<value>{_text})(?=['\"]\s{{0,20}},?\s{{0,20}}\))"
    ),
    # an option of a program, with its default
    (
        rf"(?P<name>{MARK}['\"]\s{{0,9}},(?:[^()'\"]|{_quote}[^'\"\r\n]{{0,200}}['\"]){{0,80}}?"
        rf"\b(?:default|value|fallback|initial|const)\s{{0,9}}=\s{{0,9}}{_quote})(?P<value>{_text})"
    ),
    # what a function gets or sets by its name: the default of getenv, and the like
    (
        r"(?P<name>(?:getenv|get|set|put|setenv|putenv|set_?default|setattr|pop|define|set_?property"
        rf"|set_?item|add_?header|config|options?)\s?\({_arguments}{_quote}{_named}['\"]\s?,\s{{0,20}}"
        rf"{_quote}){_NO_VALUE}(?P<value>{_text})"
    ),
    # ("password", "x"); a word for a password in any list of arguments
    (
        rf"(?P<name>[(\[]\s?{_quote}{_named}['\"]\s?,\s{{0,20}}{_quote}){_NO_VALUE}"
        rf"(?P<value>{_text})"
        r"(?=['\"]\s?[)\]])"
    ),
    rf"(?P<name>['\"]{_words}['\"]\s?,\s?['\"]){_NO_VALUE}(?P<value>{_text})",
    # ["--password", "x"] of a command, also one item a line
    (
        rf"(?P<name>['\"]{_option}['\"]\s{{0,40}},\s{{0,40}}{_quote})"
        rf"(?!-)(?P<value>{_text})"
    ),
    (
        rf"(?P<name>['\"](?:-u|--user|--proxy-user)['\"]\s{{0,20}},\s{{0,40}}['\"][^'\":\r\n]{{1,60}}:)"
        rf"(?P<value>{_text})"
    ),
    (
        rf"(?P<name>-[ \t]{{1,9}}['\"]?{_option}['\"]?[ \t]{{0,9}}"
        r"\r?\n[+\-]?[ \t]{0,80}-[ \t]{1,9}['\"]?)(?P<value>[^\s\-'\"][^\r\n'\"]{0,2000})"
    ),
    (
        rf"(?P<name>[\[,][ \t]?{_option},[ \t]{{0,5}})"
        r"(?P<value>[^\s,\]'\"\-][^\s,\]'\"]{0,2000})"
    ),
    # --password 'x y', --password 123
    (
        rf"(?P<name>(?<!\S){_option}[ \t]{{1,20}}['\"])"
        rf"(?P<value>{_text})"
    ),
    (
        rf"(?P<name>(?<!\S)--?(?:[A-Za-z0-9]{{1,30}}[_\-]){{0,4}}{_words}[ \t]{{1,20}})"
        r"(?P<value>\d[^\s'\"]{0,2000})"
    ),
    # setenv NAME x, ENV NAME x, set(NAME x), #define NAME x
    (
        r"(?P<name>(?:\bsetenv|\bENV|\bset(?:[ \t]-\w{1,4}){0,2}|#[ \t]?define"
        r"|\bread(?:[ \t]-\w){0,2})"
        rf"[ \t(]{{1,3}}(?:(?:::)?env[({{]|ENV[({{])?['\"]?{_named}['\")}}]{{0,2}}[ \t,]{{1,10}}"
        r"(?:<<<[ \t]{0,3})?['\"]?)(?!(?:to|as|in|for|from|and|or|if|is|by|with|on)\b)"
        r"(?P<value>[^\s'\"=:(<,.\-][^\s'\")]{0,2000})"
    ),
    # echo x | docker login --password-stdin
    (
        r"(?P<name>\b(?:echo|printf)(?:[ \t]{1,3}"
        r"(?:-\w{1,3}|['\"]%s(?:\\n)?['\"])){0,3}[ \t]{1,3}['\"]?)"
        r"(?P<value>[^\s'\"|$][^'\"|\r\n]{0,400}?)(?=['\"]?[ \t]{0,9}\|[^\r\n]{0,200}?"
        rf"(?:password{MARK}?-stdin|--stdin|passphrase-fd|chpasswd|sudo -S))"
    ),
    # IDENTIFIED BY 'x', WITH PASSWORD 'x'
    (
        rf"(?P<name>\b(?:identified[ \t]{{1,9}}by(?:[ \t]{{1,9}}password{MARK}?)?"
        rf"|{_words})[ \t]{{1,9}}['\"])"
        rf"(?P<value>{_text})(?=['\"])"
    ),
    # std::string password{"x"}
    (
        rf"(?P<name>\bstring[ \t]{{1,9}}\w{{0,60}}?(?:{_names}){MARK}?[({{]\s?\")"
        rf"(?P<value>[^\"\r\n]{{1,2000}})"
    ),
    # &quot;password&quot;: &quot;x
    rf"(?P<name>{MARK}&quot;\s{{0,9}}[:=]\s{{0,9}}&quot;)(?P<value>(?:(?!&quot;)[^\s<>]){{1,400}})",
    # a field of a form that was sent
    rf"(?P<name>\bname=['\"]{_named}['\"]\r?\n\r?\n)(?P<value>[^\r\n]{{1,2000}})",
    # | password | x1 |
    (
        rf"(?P<name>{MARK}[ \t]{{0,40}}\|[ \t]{{0,40}})"
        r"(?=[^|\s]{0,200}\d)(?=[^|\s]{0,200}[A-Za-z])"
        r"(?P<value>[^\s|]{6,2000})"
    ),
    (
        rf"(?P<name>\bpassword{MARK}[ \t]{{1,20}}\S{{1,400}}[ \t]{{1,20}}account[ \t]{{1,20}})"
        rf"(?P<value>\S{{1,400}})"
    ),
    # ''x'' of Nix
    rf"(?P<name>{MARK}[ \t]{{0,9}}=[ \t]{{0,9}}'')(?P<value>[^'\r\n]{{1,2000}})(?='')",
)

PAIRS = tuple(re.compile(source, re.IGNORECASE | re.MULTILINE) for source in _SOURCES)
"""Each with the groups `name`, which stays, and `value`, which goes."""

PROGRAMS = (
    r"(?P<name>\b(?:zip|ipmitool)\b[^\n|;&]{0,200}?[ \t]-P[ =]{0,3})(?P<value>[^\s\-]\S{0,2000})",
    r"(?P<name>\b(?:7za?|7zz|u?nrar|rar)\b[^\n|;&]{0,200}?[ \t]-p)(?P<value>\S{1,2000})",
    (
        r"(?P<name>\bldap(?:search|add|modify|whoami|passwd|delete)\b"
        r"[^\n|;&]{0,200}?[ \t]-w[ \t]{0,3})"
        r"(?P<value>[^\s\-]\S{0,2000})"
    ),
    r"(?P<name>\bredis-cli\b[^\n|;&]{0,200}?[ \t]-a[ \t]{1,3})(?P<value>[^\s\-]\S{0,2000})",
    r"(?P<name>[ \t]-U[ \t]{0,3}[\w\\./]{1,60}%)(?P<value>\S{1,2000})",
    r"(?P<name>\bopenssl\b[^\n|;&]{0,200}?[ \t]-[kK][ \t]{1,3})(?P<value>[^\s\-]\S{0,2000})",
    r"(?P<name>\bpass(?:in|out)?[ \t=]{1,3}pass:)(?P<value>\S{1,2000})",
)
"""Programs that take a password by an option of one letter."""
