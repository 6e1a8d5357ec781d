"""PURE One question that is asked until it is answered: whether it may have been heard.

The rule of this room: only what is known not to have been heard was not.
"""

from __future__ import annotations


class Asked:
    """How far the asking has come. `unconfirmed`: an attempt has left open what became of it, or may yet."""

    __slots__ = ("_before", "unconfirmed")

    def __init__(self) -> None:
        self.unconfirmed = self._before = False

    def begin(self) -> None:
        """An attempt begins. Unless whoever makes it says otherwise, it may have been heard from here on."""
        self._before = self.unconfirmed
        self.unconfirmed = True

    def sent(self) -> None:
        """Something of this attempt leaves."""
        self.unconfirmed = True

    def in_vain(self) -> None:
        """Nothing of this attempt has left yet, or the answer says that nothing was done: all is as before it."""
        self.unconfirmed = self._before

    def refused(self) -> None:
        """The answer is no: nothing was done, whatever there was before."""
        self.unconfirmed = False
