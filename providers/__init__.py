"""The outside world behind small ports: one module per venue, one package per family that shares a wire."""
