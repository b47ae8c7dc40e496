"""The command line, the configuration and the composition root."""
