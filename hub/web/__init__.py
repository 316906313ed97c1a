"""Pages and API: the caseworker's queue and case, the data owner's quality page, the operator's page.

Server-rendered, Chinese first, no script needed, no address outside. What a page shows is read in `queries`, how it
is worded in `present`; no decision is taken here.
"""
