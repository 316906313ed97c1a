"""Data-sharing integration hub for civil affairs (民政数据共享集成枢纽).

Departments publish what happened to people; the hub joins it, decides by dated law, and hears what came of it.
"""
