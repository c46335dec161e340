"""The package's version, as the session tells it to the daemon."""

__version__ = "0.1.0"
