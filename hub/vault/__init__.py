"""The identity vault: keys, tokens, sealed identity cards, the purpose register and the audit chain.

Here, and only here, live names, numbers and addresses; `hub.vault.cards.open_vault` is the way in.
Nothing here knows topics, rules or pages, and nothing personal leaves but by an audited opening.
"""
