"""The command line: `hub …`, one module a command group.

A module here parses options, calls one function of a room and prints. Nothing else lives here.
"""
