"""Results as text and JSON; nothing here opens a file."""


# A comparison as one page for a browser: no file beside it, and no network.
