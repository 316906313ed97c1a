"""Input that somebody else made: pseudopeople (BSD-3), written out as departments of 丽水 would hold it.

`rows` runs in an environment of its own, whose pandas and numpy the hub does not share; `offices` turns its rows into
files and the exact list of corrupted cells; `environment` runs the first and caches what it made.
"""
