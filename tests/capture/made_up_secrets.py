"""Secrets of many kinds, all made up; put together here so that no scanner takes them for real."""

from __future__ import annotations


def _repeat(alphabet: str, n: int) -> str:
    return (alphabet * (n // len(alphabet) + 1))[:n]


def _letters(n: int) -> str:
    return _repeat("q7Zr2Kx9Lm4Tb", n)


def _hex(n: int) -> str:
    return _repeat("0c7e91ad5b", n)


def _upper(n: int) -> str:
    return _repeat("Q7ZR2KX9LM4TB", n)


KEYS = {
    "aws access key": "AKIA" + _upper(16),
    "aws session key": "ASIA" + _upper(16),
    "github classic": "ghp" + "_" + _letters(36),
    "github oauth": "gho" + "_" + _letters(36),
    "github user to server": "ghu" + "_" + _letters(36),
    "github server": "ghs" + "_" + _letters(36),
    "github refresh": "ghr" + "_" + _letters(36),
    "github fine grained": "github" + "_pat_" + _letters(22) + "_" + _letters(59),
    "gitlab": "glpat" + "-" + _letters(20),
    "gitlab deploy": "gldt" + "-" + _letters(20),
    "atlassian": "ATATT3" + _letters(60),
    "bitbucket": "ATBB" + _letters(32),
    "npm": "npm" + "_" + _letters(36),
    "pypi": "pypi" + "-" + _letters(60),
    "rubygems": "rubygems" + "_" + _hex(48),
    "docker hub": "dckr" + "_pat_" + _letters(27),
    "slack bot": "xoxb" + "-123456789012-" + _letters(24),
    "slack user": "xoxp" + "-123456789012-" + _letters(24),
    "slack app": "xapp" + "-1-A0123-" + _letters(24),
    "slack webhook": "https://hooks.slack.com/services/" + "T0AAA/B0BBB/" + _letters(24),
    "discord webhook": "https://discord.com/api/webhooks/" + "123456789/" + _letters(40),
    "google api": "AIza" + _letters(35),
    "google oauth": "ya29" + "." + _letters(40),
    "google client secret": "GOCSPX" + "-" + _letters(28),
    "stripe live": "sk" + "_live_" + _letters(24),
    "stripe restricted": "rk" + "_live_" + _letters(24),
    "stripe webhook": "whsec" + "_" + _letters(32),
    "sendgrid": "SG" + "." + _letters(22) + "." + _letters(43),
    "mailgun": "key" + "-" + _hex(32),
    "twilio": "SK" + _hex(32),
    "telegram": "123456789" + ":AA" + _letters(33),
    "hugging face": "hf" + "_" + _letters(34),
    "openai": "sk" + "-" + _letters(48),
    "openai project": "sk" + "-proj-" + _letters(48),
    "anthropic": "sk" + "-ant-api03-" + _letters(60),
    "replicate": "r8" + "_" + _letters(37),
    "databricks": "dapi" + _hex(32),
    "digital ocean": "dop" + "_v1_" + _hex(64),
    "vault": "hvs" + "." + _letters(24),
    "terraform": _letters(14) + ".atlasv1." + _letters(67),
    "shopify": "shpat" + "_" + _hex(32),
    "square": "sq0atp" + "-" + _letters(22),
    "linear": "lin" + "_api_" + _letters(40),
    "notion": "ntn" + "_" + _letters(46),
    "postman": "PMAK" + "-" + _hex(24) + "-" + _hex(34),
    "grafana": "glsa" + "_" + _letters(40),
    "new relic": "NRAK" + "-" + _upper(27),
    "figma": "figd" + "_" + _letters(40),
    "airtable": "pat" + _letters(14) + "." + _hex(64),
    "tailscale": "tskey" + "-auth-" + _letters(30),
    "age": "AGE-SECRET-KEY-1" + _upper(58),
    "json web token": "eyJ" + _letters(20) + ".eyJ" + _letters(40) + "." + _letters(43),
}
"""Keys that their own form gives away."""

_PEM = "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIEow{}\nxyz==\n-----END RSA PRIVATE KEY-----"

SENTENCES = {
    "password in yaml": ("password: hunter2xyz", "hunter2xyz"),
    "password in json": ('{"password": "hunter 2 xyz", "n": 3}', "hunter 2 xyz"),
    "password in toml": ("db_password = 'hunter2xyz'", "hunter2xyz"),
    "password in python": ("connect(user='me', password='hunter2xyz')", "hunter2xyz"),
    "exported variable": ("export WANDB_API_KEY=" + _hex(40), _hex(40)),
    "aws secret key": ("aws_secret_access_key = " + _letters(40), _letters(40)),
    "basic authentication": ("Authorization: Basic bWU6aHVudGVyMg==", "bWU6aHVudGVyMg"),
    "bearer": ("curl -H 'Authorization: Bearer hunter2xyz'", "hunter2xyz"),
    "own header": ("X-Api-Key: hunter2xyz", "hunter2xyz"),
    "cookie": ("Cookie: session=hunter2xyz; other=hunter2xyz", "hunter2xyz"),
    "password in url": ("postgresql://me:hunter2xyz@db:5432/runs", "hunter2xyz"),
    "token as user of url": ("https://hunter2xyz@github.com/a/b.git", "hunter2xyz"),
    "signed url": ("https://s3/x?X-Amz-Signature=hunter2xyz&n=1", "hunter2xyz"),
    "shared access signature": ("https://b.core.windows.net/x?sv=1&sig=hunter2xyz", "hunter2xyz"),
    "api key in query": ("https://api.org/v1?key=hunter2xyz", "hunter2xyz"),
    "azure account key": (
        "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=hunter2xyz==;",
        "hunter2xyz",
    ),
    "client secret": ("clientSecret: 'hunter2xyz'", "hunter2xyz"),
    "netrc": ("machine data.org login me password hunter2xyz", "hunter2xyz"),
    "private key": (_PEM.format("hunter2xyz"), "hunter2xyz"),
    "private key cut off": (_PEM.format("hunter2xyz")[:60], "hunter2xyz"),
    "private key of openssh": (
        "-----BEGIN OPENSSH " + "PRIVATE KEY-----\nhunter2xyz\n-----END OPENSSH PRIVATE KEY-----",
        "hunter2xyz",
    ),
    "passphrase": ("passphrase=hunter2xyz", "hunter2xyz"),
    "ini credentials": ("[s3]\nsecret_key = hunter2xyz\n", "hunter2xyz"),
    "diff line": ("+    token = 'hunter2xyz'", "hunter2xyz"),
    "unfinished quote": ("password = 'hunter2xyz", "hunter2xyz"),
    "escaped quote": (r"password = 'ab\'hunter2xyz'", "hunter2xyz"),
    "brackets in a password": ("password: ab(hunter2xyz", "hunter2xyz"),
    "slash in a password": ("https://me:ab/hunter2xyz@host/x", "hunter2xyz"),
    "at sign in a password": ("https://me:ab@hunter2xyz@host/x", "hunter2xyz"),
    "yaml block": ("password: |\n  hunter2xyz\n", "hunter2xyz"),
    "python mapping": ("os.environ['WANDB_TOKEN'] = 'hunter2xyz'", "hunter2xyz"),
    "netrc on lines": ("machine data.org\nlogin me\npassword hunter2xyz\n", "hunter2xyz"),
    "namelist": ("&db user='me', password='hunter2xyz' /", "hunter2xyz"),
}
"""Sentence and the secret in it, which only what stands around it gives away."""
