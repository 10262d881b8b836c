"""What the service does, whoever asks: pages, REST and the command line call the same functions.

A function here is given a session and works in its transaction; it never commits. `access` says who may do what, and
is called first. Refusals are `grader.errors.Refused`, worded in both languages. Times are passed in as `now` (UTC), so
that a deadline can be tested to the second.
"""
