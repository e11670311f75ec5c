"""The exit codes of every command except `up`, for scripts."""

OK = 0
PROBLEMS = 1  # the command has run, and a part of what it was asked for has failed
NOT_DONE = 2  # the command could not run: a wrong option or setting, the broker or the store out of reach
INTERRUPTED = 130  # ended by Ctrl-C or SIGTERM: 128 + SIGINT, as shells report it
