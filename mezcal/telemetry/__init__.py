"""Metrics and logs.

`metrics` defines what processes count, `gauges` what is read at each request; `multiprocess` adds up the counts of
several processes, `exposition` writes `/metrics`, `history` keeps the counts of the last hour,
`days` those of each day. `logs` formats the log
lines, `redaction` keeps secrets out of them, `tracing` has the id of the request that they belong to.
"""

METRICS_FOLDER_VARIABLE = "MEZCAL_METRICS_DIR"  # names the folder in which several processes count together
DAMAGED_STATE_PREFIX = "broker.damaged-"  # of folders in the data folder; the time follows
