"""The demonstration: every real part on this machine, departments' records in, acknowledged alerts out, and the proof.

Only starting, waiting, looking and printing live here; what the hub does is done by its own processes.
"""
