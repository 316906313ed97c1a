"""Where departments' records come in: source mappings, readers of tables and files, the way from row to event.

Columns, encodings and codes of departments are known here and nowhere else; no rule, no page, no state of a home.
"""
