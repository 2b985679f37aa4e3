"""Explorers: controls above a picture. One module for each lesson's explorers.

The logic stands in plain functions that need no browser; `Explorer` joins one that
draws with sliders.
"""

import base64
import gc
import html
import io
import textwrap
import traceback
from contextlib import contextmanager
from pathlib import Path

import ipywidgets
import matplotlib
from IPython import get_ipython
from matplotlib.figure import Figure

DPI = 100
OLD = "old-picture"  # the class of a picture that does not belong to the controls
ERROR_STYLE = f"""
.{OLD} {{opacity: 0.35}}
pre.explorer-error {{color: #b00020; white-space: pre-wrap; line-height: 1.4}}
"""
# Code in these folders is not the learner's.
OTHERS = [Path(__file__).parents[2], Path(ipywidgets.__file__).parents[1]]
OTHERS = tuple(str(folder) for folder in [*OTHERS, Path(traceback.__file__).parent])
QUICK_PNG = {"compress_level": 4}  # half the time of the usual 6, a few per cent larger


@contextmanager
def young_garbage():
    """Have the cycles of objects made inside collected on leaving, while it is cheap.

    A figure is full of them. Left to Python they grow old, and about every tenth move
    of a slider would wait half a second while it searches the whole memory for them.
    """
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.collect(0)
        if running:
            gc.enable()


class Explorer:
    """Controls and the picture that follows them.

    draw: a function of the controls' values, by name, that returns a matplotlib figure.
    controls: {name: ipywidget with a ``value``}. The picture is sent as one PNG, so
    that nothing flickers and no figure stays open. As a cell's last line it shows
    itself; where widgets do not run, the picture of the first state stands in.

    A drawing that fails shows its error above the picture, which is marked as old until
    the next one that succeeds; ``error`` holds it, otherwise None. ``set(name=value)``
    moves controls from code, and raises it. ``png`` holds the picture now shown.
    """

    def __init__(self, draw, **controls):
        self.draw, self.controls = draw, controls
        self.image, self.said = ipywidgets.Image(format="png"), ipywidgets.HTML()
        self.box = ipywidgets.VBox([*controls.values(), self.said, self.image])
        self.png, self.error, self.shown = None, None, None
        self.update()
        if self.error is not None:
            tell(self.error)
        for control in controls.values():
            control.observe(self.update, "value")

    def update(self, _change=None):
        """Draw again for the controls' present values, or say why it failed."""
        values = {name: control.value for name, control in self.controls.items()}
        try:
            with young_garbage():
                self.png, (width, height) = picture_of(self.draw, values)
        except Exception as error:  # the learner's own code may raise anything
            self.error = error
            self.say_error(values)
            return
        self.error, self.said.value, self.shown = None, "", values
        self.image.remove_class(OLD)
        self.image.width, self.image.height = f"{width:.0f}px", f"{height:.0f}px"
        self.image.value = self.png

    def say_error(self, values):
        """Put the error above the picture, and mark the picture as old."""
        lines = [error_text(self.error), f"at {state_text(values)}"]
        if self.shown is None:  # no picture yet
            self.png, (width, height) = picture_of(error_figure, {"lines": lines})
            self.image.width, self.image.height = f"{width:.0f}px", f"{height:.0f}px"
            self.image.value = self.png
        else:
            lines.append(f"old picture: {state_text(self.shown)}")
            self.image.add_class(OLD)
        text = html.escape("\n".join(lines))
        self.said.value = (
            f"<style>{ERROR_STYLE}</style><pre class='explorer-error'>{text}</pre>"
        )

    def set(self, **values):
        """Move controls to `values`, as a person would; returns the explorer.

        Raises what drawing them raised.
        """
        for name, value in values.items():
            self.controls[name].value = value
        if self.error is not None:
            raise self.error
        return self

    def _repr_mimebundle_(self, include=None, exclude=None):
        bundle = dict(self.box._repr_mimebundle_())
        bundle["image/png"] = base64.b64encode(self.png).decode()
        return bundle


def tell(error):
    """Show an error's traceback in the cell that runs, which goes on; else raise it.

    The cell's widget stays, and whoever runs the notebook hears of the error.
    """
    shell = get_ipython()
    if shell is None:
        raise error
    shell.showtraceback((type(error), error, error.__traceback__))


def error_text(error):
    """An error's type and message, and the last line of the learner's own code."""
    message = f"{type(error).__name__}: {error}".rstrip(": ")
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if not f.filename.startswith((*OTHERS, "<"))]
    if frames:
        where = (own or frames)[-1]
        message += f"\nin {where.name}, line {where.lineno}: {where.line}"
    return message


def state_text(values):
    """Controls' values, by name, in one line."""
    return ", ".join(f"{name} = {value}" for name, value in values.items())


def error_figure(lines):
    """A Figure that tells an error, for where no picture was drawn yet."""
    figure, (ax,) = empty_figure(640, 120)
    text = "\n".join(textwrap.fill(line, 84) for x in lines for line in x.split("\n"))
    ax.text(0, 1, text, va="top", fontsize=10, color="#b00020", parse_math=False)
    ax.axis("off")
    return figure


def picture_of(draw, values):
    """The figure that draw(**values) returns: a PNG and its (width, height) in pixels.

    Titles stand where they belong when no ticks are above them: a third of the time of
    a picture would go into looking for such ticks.
    """
    buffer = io.BytesIO()
    with matplotlib.rc_context({"axes.titley": 1.0}):
        figure = draw(**values)
        figure.savefig(buffer, format="png", dpi=DPI, pil_kwargs=QUICK_PNG)
    return buffer.getvalue(), figure.get_size_inches() * DPI


def slider(name, low, high, value, step=1):
    """A slider with a readable label: whole numbers, or decimals if `step` is one."""
    whole = isinstance(step, int)
    kind = ipywidgets.IntSlider if whole else ipywidgets.FloatSlider
    return kind(
        value=value,
        min=low,
        max=high,
        step=step,
        description=name,
        layout={"width": "480px"},
        style={"description_width": "150px"},
    )


def steps(name, options, value):
    """A slider that stops at `options` only."""
    return ipywidgets.SelectionSlider(
        options=options,
        value=value,
        description=name,
        layout={"width": "480px"},
        style={"description_width": "150px"},
    )


def choice(name, options, value=None):
    """Buttons, one of which is pressed: `options` is a list or {text: value}."""
    return ipywidgets.ToggleButtons(
        options=options,
        value=value if value is not None else next(iter(options)),
        description=name,
        style={"description_width": "150px", "button_width": "auto"},
    )


def empty_figure(width, height, columns=1, ratios=None):
    """A Figure of width x height pixels with `columns` axes; returns (figure, axes)."""
    figure = Figure(figsize=(width / DPI, height / DPI))
    axes = figure.subplots(1, columns, width_ratios=ratios, squeeze=False)[0]
    figure.subplots_adjust(0.02, 0.03, 0.98, 0.9, wspace=0.08)
    return figure, axes


def figure_of_panels(panels, titles, size, low=0):
    """A Figure of `size` (width, height) pixels with pictures side by side.

    panels: pixels (h, w, 3) of equal width each, `low` pixels above the lower edge,
    with a title above each. No axes: they would take most of a move's time.
    """
    figure = Figure(figsize=(size[0] / DPI, size[1] / DPI), dpi=DPI)
    left = 2
    for panel, title in zip(panels, titles):
        high, wide = panel.shape[:2]
        figure.figimage(panel, left, low)
        place = (left + wide / 2) / size[0], (low + high + 6) / size[1]
        figure.text(*place, title, fontsize=10, ha="center")
        left += wide + 4
    return figure
