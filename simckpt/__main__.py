"""``python -m simckpt`` is the command ``simckpt``."""

from __future__ import annotations

from .cli.main import main

main()
