"""Alerts that reach people: by mail and by webhook."""
