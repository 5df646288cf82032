"""Why two runs part: what was recorded of them, and which of it explains the difference."""
