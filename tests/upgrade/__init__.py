"""This release on what the one before it left behind, and the way back."""
