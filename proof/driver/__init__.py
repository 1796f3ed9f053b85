"""Restarts servers under load, and reports what was lost."""
