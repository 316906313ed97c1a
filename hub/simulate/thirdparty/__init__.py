"""Input that somebody else made, written out as departments of 丽水 would hold it.

pseudopeople (BSD-3) gives registration, insurance and assistance: `rows` runs in an environment of its own, whose
pandas and numpy the hub does not share; `environment` runs it and caches what it made; `offices` turns its rows into
files and the exact list of corrupted cells. Synthea (Apache-2.0) gives medical care: `synthea` runs it and caches what
it made; `medical` turns that into drops about persons of `offices`.
`departments` does all of it in one call. Neither is vendored: both are fetched.
"""
