"""The record of a data analysis: a stage, and the transforms that lead from data to result."""

from __future__ import annotations

from .stage import stage
from .transformation import Transformation, transform

__all__ = ["Transformation", "stage", "transform"]
