"""The law: dated parameters, rules in three values, calendars, and the catalogue of rules.

Everything here is pure. Figures live in packs/<region>.yaml and nowhere else; formulas are small functions beside their article.
"""
