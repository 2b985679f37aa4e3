"""What a mutant is, and the kinds of mistake."""

from dataclasses import dataclass

KINDS = {
    "axes swapped": "x for y, rows for columns, width for height",
    "off by one": "one too many or too few, or half a cell aside",
    "wrong sign": "a part that ought to count for it counts against it",
    "wrong order": "sorted the wrong way round: the worst first",
    "wrong threshold": "the wrong limit, or the wrong side of it",
    "wrong axis": "a sum, mean or softmax along the wrong axis",
    "wrong scale": "pixels for cells, one stride for another",
    "labels shifted": "the class, or the box, of a neighbour",
    "classes mixed": "what should be done class by class is done for all at once",
    "double counting": "one thing counts twice",
    "not normalised": "a division, or its inverse, is missing",
    "not decoded": "deltas are taken for boxes",
    "limit missing": "all are taken, where only so many should be",
    "flag not heeded": "difficult or ignored objects count like all others",
    "augmentation": "the image changes and its target does not",
    "gradient cut": "weights that should learn get no gradient",
    "gradient not cut": "weights that should not learn do, or gradients pile up",
    "wrong mode": "training behaviour in evaluation, or the other way round",
}


@dataclass(frozen=True)
class Mutant:
    """A classic mistake as a small change of one function or class of the package.

    where: its name below ``course_utils``, such as ``"ops.nms.nms"`` or, in a class,
    ``"ops.anchors.AnchorGrid.__call__"``. old: text in its source, which is replaced by
    `new` wherever it stands there; or several, in two tuples. kinds: from KINDS, the
    best word first, then others that are true as well. symptom: what is seen; mend:
    what is to be done. Both are whole sentences.
    """

    where: str
    old: str | tuple[str, ...]
    new: str | tuple[str, ...]
    kinds: tuple[str, ...]
    symptom: str
    mend: str

    @property
    def module(self) -> str:
        return ".".join(["course_utils", *self.where.split(".")[:2]])

    @property
    def name(self) -> str:
        """Of the function or class, as the package's modules call it."""
        return self.where.split(".")[2]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The (old, new) texts."""
        several = isinstance(self.old, tuple)
        return [*zip(self.old, self.new)] if several else [(self.old, self.new)]

    @property
    def names(self) -> set[str]:
        """All names that a learner may rightly give the place of the mistake."""
        last = self.where.split(".")[2:]
        return {self.name, last[-1], ".".join(last), self.where}
