"""What is a secret, and how texts are kept without it."""
