"""Screens, presenters and the application."""
