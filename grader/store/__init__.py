"""Where everything the service must not lose is kept.

    accepted  = blob + submission + job, committed together before the answer "202"
    graded    = report + its check results + the grade, committed together with the end of the job

`engine` opens a database (SQLite in the data directory by default) and gives transactions, `models` are the tables,
`codec` turns reports and uploads into bytes and back. Reports, check results, overrides, extensions and audit events
are only ever added to. Nothing in here commits but `Store.write` itself, at its end.
"""
