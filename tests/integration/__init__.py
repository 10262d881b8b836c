"""Tests of several parts together; `service.py` is the kit of those that need a running service."""
