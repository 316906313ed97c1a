"""The law: dated parameters, rules in three values, calendars, and the catalogue of rules.

Everything here is pure. Figures live in packs/<region>.yaml and nowhere else; a formula is a small function beside
its article.
"""
