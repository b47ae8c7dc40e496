"""Widgets: each paints one thing from one frozen view model."""
