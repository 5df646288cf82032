"""The instrument that simulation codes carry."""

from __future__ import annotations
