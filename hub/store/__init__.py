"""The SQL store: models, sessions, migrations. SQLite by default, PostgreSQL by one setting.

Only rows live here; what they mean is decided elsewhere. No module of the core imports it.
"""
