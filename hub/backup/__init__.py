"""A deployment written into a folder, and brought back from it: store, vault, registry, topics, key file.

Here live the files of a backup and what goes into them. What the parts mean is known elsewhere; nothing here decides.
"""
