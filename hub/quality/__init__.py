"""Source quality (数源提升): expectation suites on micro-batches, scores, and the store's view of what is wrong.

A process of its own, since importing Great Expectations takes seconds; only `runner` imports it. `scores` is pure.
"""
