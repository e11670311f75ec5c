"""What mezcal says of itself: metrics and logs.

`metrics` defines what is counted, `house` what is looked up; `shared` sums up processes, `exposition` writes
`/metrics`, `hour` keeps the last hour. `logs` is the form of the lines, `masks` keeps secrets out of them, `trace`
says whose request they are about.
"""
