"""A wrapped data key opens for its own person and under its own key only."""

from __future__ import annotations

import pytest

from hub.errors import VaultError
from hub.vault.envelope import Wrapping
from hub.vault.keys import KeyRing, fingerprint, generate

LI, WANG = "1" * 32, "2" * 32


def test_a_wrapped_key_is_bound_to_its_person() -> None:
    """Put into another person's row it does not open: an erased person's key cannot live on there."""
    wrapping = Wrapping(generate().wrapping)
    wrapped = wrapping.new_key(LI)
    assert len(wrapping.unwrap(LI, wrapping.active, wrapped)) == 32
    with pytest.raises(VaultError, match="altered"):
        wrapping.unwrap(WANG, wrapping.active, wrapped)


def test_a_new_wrapping_key_leaves_the_old_ones_open() -> None:
    """New data keys are wrapped under the active key; those of a key that is not held name it."""
    ring, new = generate().wrapping, bytes(32)
    old = Wrapping(ring)
    rotated = Wrapping(KeyRing(fingerprint(new), ring.keys | {fingerprint(new): new}))
    wrapped = old.new_key(LI)
    assert rotated.unwrap(LI, old.active, wrapped) == old.unwrap(LI, old.active, wrapped)
    with pytest.raises(VaultError, match=rotated.active):
        old.unwrap(LI, rotated.active, rotated.new_key(LI))
