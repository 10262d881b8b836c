"""Grader: an auto-grader for deep-learning homework whose verdicts are formed outside the student's process."""

import os

__version__ = "0.1.0"

# Before NumPy is imported anywhere: a check multiplies small matrices, and a thread per core that spins for the next
# one takes the time of the children which compute beside it.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
