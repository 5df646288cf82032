"""The record of a data analysis: a stage, and the transforms that lead from data to result."""

from __future__ import annotations

from .staging import stage
from .transforms import Transformation, transform

__all__ = ["Transformation", "stage", "transform"]
