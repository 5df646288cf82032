"""What makes a run capture more than it always does."""
