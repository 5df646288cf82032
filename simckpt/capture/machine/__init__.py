"""The node and this process: hardware, system, libraries, interpreter."""
