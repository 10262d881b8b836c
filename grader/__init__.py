"""Grader: an auto-grader for deep-learning homework whose verdicts are formed outside the student's process."""

__version__ = "0.1.0"
