"""Where two runs part: pure functions from models to models."""
