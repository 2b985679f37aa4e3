"""Makes the "tabletop" data set: household objects on a table, path traced.

Every mesh and every texture is computed with numpy; nothing is downloaded. Run
``data/make_tabletop.py``. From the bottom up, each module imports only earlier ones:

    draws       random choices and colours
    textures    noise, patterns, wood, printed labels
    mesh        parts of objects from grids of points
    makers/     one file for each class: mug, bottle, bowl, apple, banana, ball, ...
    poses       how an object rests: standing, lying, upside down, leaning
    camera      from metres to pixels and back
    masks       which pixel sees which object; boxes and flags
    surfaces    textures of table tops and walls
    lighting    lamps, windows and the room around
    layout      a scene's description, drawn from (seed, split, index) alone
    rendering   the photograph of a description, by Mitsuba
    files       pictures, masks and annotations on the disk, as Pascal VOC has them

Lengths are metres, z is up and the table top is the plane z = 0. Pixel coordinates
have x to the right, y down and (0, 0) at the top left corner of the image.
"""
