"""The rules, one module each: what it reads, what it decides, and the article it cites.

A rule is a pure function of a home, a policy and a day. It may use the readings of hub.policy, and no other rule.
"""
