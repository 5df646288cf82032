"""What secrets look like: names that announce one, and keys whose own form gives them away.

The two lists are data; `redaction` applies them. A shape needs a fixed prefix or an
unmistakable form, since a plain run of hexadecimal digits is as likely a commit as a key.
"""

from __future__ import annotations

import re

_NAMES = (
    r"pass(?:word|wd|phrase|code)?",
    r"passwords|passwds|passphrases|passcodes",
    r"pwds?",
    r"secrets?",
    r"tokens?",
    r"credentials?|creds?",
    (
        r"(?:api|access|account|auth|private|secret|signing|encryption|master|ssh|subscription"
        r"|licen[cs]e|munge|fernet|shared)[_\-. ]?keys?(?:[_\-](?:base|data))?"
    ),
    r"(?:client|server)[_\-]key[_\-]data",
    r"psk",
    r"secret[_\-]?id",
    r"client[_\-]?assertion",
    r"code[_\-]?verifier",
    r"activation[_\-]?code",
    r"(?:bind|root|user|db|admin|login)[_\-]?(?:pw|pwd)",
    # A name of one word that ends in one of these: PGPASSWORD, csrfmiddlewaretoken.
    r"[a-z0-9]{1,40}(?:password|passwd|passphrase|secret|token)s?",
    r"sshpass",
    # In other languages
    r"passw(?:ort|örter)",
    r"kennw(?:ort|örter)",
    r"mots?[_\-]?de[_\-]?passe",
    r"contrase[nñ]as?",
    r"senhas?",
    r"wachtwoord(?:en)?",
    r"l[oö]senord",
    r"has[lł][oa]",
    r"пароль|пароли",
    r"密码",
    r"パスワード",
    r"apikeys?",
    r"auth(?:s|orization)?",
    r"bearer",
    r"cookies?",
    r"csrf",
    r"(?:j|php)?sess(?:ion)?[_\-]?id",
    r"connect\.sid",
    r"sas",
    r"sig(?:nature)?",
    r"otp",
    r"pin[_\-]?code",
    r"access[_\-]?key[_\-]?id",
    r"awsaccesskeyid",
    r"webhook(?:[_\-]?url)?",
    r"dsn",
    r"connection[_\-]?string",
)

_WHICH = (
    r"(?:[_\-]?\d{1,3}|[_\-](?:old|new|current|previous|prod(?:uction)?|dev(?:elopment)?|test|staging"
    r"|live|default|value|plain(?:text)?|raw|str(?:ing)?|text|b64|base64|enc(?:rypted|oded)?|hash(?:ed)?"
    r"|again|confirm(?:ation)?|repeat))"
)
"""What may stand behind the name of a secret, which is one all the same: ``PASSWORD_OLD``."""

SECRET_NAMES = (
    *_NAMES,
    rf"(?:pass(?:word|wd|phrase|code)s?|pwds?|secrets?|tokens?|credentials?|(?:api|access|private)[_\-]?keys?){_WHICH}",
)
"""Last words of a name whose text value is a secret: ``DB_PASSWORD``, ``client-secret``."""

KEY_SHAPES = (
    # Clouds
    r"(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}",
    r"AIza[0-9A-Za-z_\-]{35}",
    r"ya29\.[0-9A-Za-z_\-]{20,}",
    r"GOCSPX-[0-9A-Za-z_\-]{20,}",
    r"do[opr]_v1_[0-9a-f]{64}",
    r"dapi[0-9a-f]{32}(?:-\d)?",
    r"HRKU-[0-9A-Za-z_\-]{30,}",
    r"[0-9A-Za-z_\-]{3}8Q~[0-9A-Za-z_~.\-]{31,34}",
    r"LTAI[0-9A-Za-z]{12,20}",
    r"pul-[0-9a-f]{40}",
    r"[0-9A-Za-z]{14}\.atlasv1\.[0-9A-Za-z_=\-]{60,}",
    r"hv[sbr]\.[0-9A-Za-z_\-]{20,}",
    r"dp\.(?:pt|st|ct|sa|scim|audit)\.[0-9A-Za-z_.\-]{20,}",
    # Code hosting and package registries
    r"gh[pousr]_[0-9A-Za-z]{30,}",
    r"github_pat_[0-9A-Za-z_]{20,}",
    r"gl(?:pat|oas|dt|rt|cbt|ptt|ft|imt|agent|soat|ffct)-[0-9A-Za-z_\-.]{16,}",
    r"ATATT3[0-9A-Za-z_\-=]{30,}",
    r"ATBB[0-9A-Za-z]{24,}",
    r"npm_[0-9A-Za-z]{30,}",
    r"pypi-[0-9A-Za-z_\-]{40,}",
    r"rubygems_[0-9a-f]{40,}",
    r"cio[0-9A-Za-z]{32}",
    r"dckr_(?:pat|oat)_[0-9A-Za-z_\-]{20,}",
    # Messages and mail
    r"xox[abeoprs]-[0-9A-Za-z\-]{10,}",
    r"xapp-\d-[0-9A-Za-z\-]{10,}",
    r"SG\.[0-9A-Za-z_\-]{16,}\.[0-9A-Za-z_\-]{16,}",
    r"key-[0-9a-f]{32}",
    r"SK[0-9a-f]{32}",
    r"\d{8,10}:AA[0-9A-Za-z_\-]{32,}",
    # Data and model services
    r"hf_[0-9A-Za-z]{30,}",
    r"api_org_[0-9A-Za-z]{30,}",
    r"sk-(?:ant-|proj-|svcacct-|or-)?[0-9A-Za-z_\-]{20,}",
    r"r8_[0-9A-Za-z]{30,}",
    r"gsk_[0-9A-Za-z]{30,}",
    r"pcsk_[0-9A-Za-z_]{30,}",
    # Payment and shops
    r"(?:sk|rk|pk)_(?:live|test)_[0-9A-Za-z]{10,}",
    r"whsec_[0-9A-Za-z+/=]{20,}",
    r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}",
    r"sq0(?:atp|csp)-[0-9A-Za-z_\-]{20,}",
    r"EAAA[0-9A-Za-z_\-]{50,}",
    # Tools
    r"lin_api_[0-9A-Za-z]{30,}",
    r"ntn_[0-9A-Za-z]{30,}",
    r"secret_[0-9A-Za-z]{30,}",
    r"PMAK-[0-9a-f]{24}-[0-9a-f]{34}",
    r"gl(?:c|sa)_[0-9A-Za-z+/=_]{30,}",
    r"NR(?:AK|JS|II)-[0-9A-Za-z]{20,}",
    r"sntry[su]_[0-9A-Za-z+/=_]{30,}",
    r"figd_[0-9A-Za-z_\-]{30,}",
    r"pat[0-9A-Za-z]{14}\.[0-9a-f]{64}",
    r"tskey-[0-9A-Za-z\-]{20,}",
    r"AGE-SECRET-KEY-1[0-9A-Z]{58}",
    # Hashes of passwords, by which these can be guessed
    (
        r"\$(?:1|2[abxy]?|5|6|7|y|gy|apr1|argon2(?:id|i|d)|scrypt|pbkdf2-sha\d{1,3})"
        r"\$[0-9A-Za-z./$=,+]{8,}"
    ),
    r"bot\d{8,10}:AA[0-9A-Za-z_\-]{32,}",
    # A file that Ansible has encrypted, by which its password can be guessed
    r"\$ANSIBLE_VAULT;[\d.]+;\w+(?:;[^\s]*)?(?:\s{1,40}[0-9a-f]{20,})+",
    # A JSON web token, signed or encrypted
    r"eyJ[0-9A-Za-z_\-]{8,400}\.[0-9A-Za-z_\-]{8,}(?:\.[0-9A-Za-z_\-]*){1,3}",
)
"""Keys that are known by their own form."""

BLOCK_SHAPES = (
    r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]+-----|\Z)",
    r"PuTTY-User-Key-File-\d:.*?(?:Private-MAC: [0-9a-f]+|\Z)",
)
"""Private keys that span lines; one that is cut off runs to the end of the text."""

WEBHOOK_SHAPES = (
    r"hooks\.slack\.com/(?:services|workflows)/[0-9A-Za-z/_\-]+",
    r"discord(?:app)?\.com/api/webhooks/[0-9A-Za-z/_\-]+",
    r"webhook\.office\.com/[0-9A-Za-z/@_\-]+",
)
"""Addresses that are secrets themselves."""

NAME = re.compile(rf"(?:^|[^0-9A-Za-z])(?:pw|{'|'.join(SECRET_NAMES)})$", re.IGNORECASE)
SHAPES = re.compile(rf"(?<![0-9A-Za-z_])(?:{'|'.join(KEY_SHAPES)})")
BLOCKS = re.compile("|".join(BLOCK_SHAPES), re.DOTALL)
WEBHOOKS = re.compile("|".join(WEBHOOK_SHAPES))
