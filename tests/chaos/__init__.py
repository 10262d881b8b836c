"""Faults at random moments under a steady load, and what must hold after them: `python -m tests.chaos --help`.

scene.py      the installation: database, processes that are started again, students' files
processes.py  what /proc says of our processes, and the supervisor that starts them again
students.py   the load, and the probe that says whether the service is healthy
faults.py     what goes wrong
verdicts.py   what was accepted against what is in the database
leaks.py      what must not be left over
power_cut.py  copies of an SQLite database as a power cut could leave it
"""
