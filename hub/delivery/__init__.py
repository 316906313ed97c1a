"""Delivery: the outbox, the lines' register, sending and signing, receipts and dispositions, the reference receiver.

Here, and only here, alerts leave the hub and answers come back. No rule is decided and no stream state is kept here;
identity is opened from the vault at the moment of sending and never stored.
"""
