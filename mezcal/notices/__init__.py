"""Notices: what needs a person, and how a person learns of it.

`conditions` finds what needs a person now, `failure_growth` the classes of failures that grow. `rounds` decides which
notices are due, and `delivery` sends one to NOTICE_URL or NOTICE_COMMAND.
"""
