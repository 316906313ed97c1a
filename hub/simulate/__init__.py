"""Simulation: a population with planted truth, departments that hold it, input from third parties, and the oracle.

Here lives what makes input and what checks the outcome. Nothing of it runs in a deployment that serves people,
and the oracle never imports `hub.discovery`, whose answers it checks.
"""
