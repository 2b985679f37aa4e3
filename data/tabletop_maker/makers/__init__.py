"""The makers of the eight classes.

A maker draws one object and returns its mesh parts in the object's own frame, and
for things that can lie on their side or hold others a profile (n, 2) of (radius, z):
of a mug or bottle the outside, of a bowl the inside.
"""

from . import apple, ball, banana, book, bottle, bowl, donut, mug

MAKERS = {
    "mug": mug.make_mug,
    "bottle": bottle.make_bottle,
    "bowl": bowl.make_bowl,
    "apple": apple.make_apple,
    "banana": banana.make_banana,
    "ball": ball.make_ball,
    "book": book.make_book,
    "donut": donut.make_donut,
}
