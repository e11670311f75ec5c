"""Metrics and logs.

`metrics` defines what processes count, `gauges` what is read when somebody asks; `multiprocess` adds up the counts of
several processes, `exposition` writes `/metrics`, `history` keeps the counts of the last hour. `logs` formats the log
lines, `redaction` keeps secrets out of them, `tracing` has the id of the request that they belong to.
"""
