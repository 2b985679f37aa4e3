"""What grading gives: the table of points as CSV, and a report as HTML."""

import csv
import io
from dataclasses import dataclass, field

import jinja2

from course_utils.lessons import checks

REPORT = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Grades</title>
<style>
body { font: 15px/1.5 sans-serif; margin: 2em auto; max-width: 70em; padding: 0 1em }
table { border-collapse: collapse } caption { text-align: left; font-weight: bold }
th, td { border: 1px solid #bbb; padding: .2em .6em; text-align: left }
td.n { text-align: right } .right { background: #d5e8f7 } .wrong { background: #fbe3c8 }
h2 { margin: 1.5em 0 .3em } li { margin: .2em 0 }
</style>
<h1>Grades</h1>
<p>{{ sheet.rows | length }} students, {{ sheet.points | length }} exercises.
The random inputs of the checks are those of seed {{ seed }}.{% for line in warnings %}
<br><strong>{{ line }}</strong>{% endfor %}</p>
<table><caption>The class, by exercise</caption>
<tr><th>exercise<th>points<th>right<th>of</tr>
{% for exercise, points in sheet.points.items() %}
<tr><td>{{ exercise }}<td class="n">{{ points }}
<td class="n">{{ sheet.right(exercise) }}<td class="n">{{ sheet.handed_in(exercise) }}
</tr>
{% endfor %}</table>
<h2>By student</h2>
<table><tr><th>student{% for exercise in sheet.points %}<th title="{{ exercise }}">
{{ exercise.split()[0] }}{% endfor %}<th>total of {{ sheet.most }}</tr>
{% for row in sheet.rows %}<tr><td><a href="#s{{ loop.index }}">{{ row.student }}</a>
{% for exercise in sheet.points %}{% set sign = row.sign(exercise) %}
<td class="{{ names[sign] }}">{{ sign }}
{% endfor %}<td class="n">{{ row.total(sheet.points) }}</tr>
{% endfor %}</table>
{% for row in sheet.rows %}
<h2 id="s{{ loop.index }}">{{ row.student }}: {{ row.total(sheet.points) }} of
{{ sheet.most }}</h2>
<ul>{% for exercise in sheet.points %}{% set sign = row.sign(exercise) %}
<li><span class="{{ names[sign] }}">{{ sign }} {{ exercise }}</span>:
{{ row.mark(exercise)[1] }}</li>{% endfor %}
{% for note in row.notes() %}<li>{{ note }}</li>{% endfor %}</ul>
{% if row.outcomes %}<p>{% for o in row.outcomes %}{{ o.notebook }}: {{ o.seconds }} s,
{{ o.peak_mb }} MB. {% endfor %}</p>{% endif %}
{% endfor %}
</html>
"""

NO_NOTEBOOK, NOT_MARKED = "no notebook of lesson", "none of its exercises was found"


@dataclass
class Row:
    """A student, and the outcome of each of the student's notebooks."""

    student: str
    outcomes: list = field(default_factory=list)

    def mark(self, exercise):
        """(right?, sentence): the best of the student's notebooks of that lesson."""
        found = [o["marks"][exercise] for o in self.outcomes if exercise in o["marks"]]
        if found:
            return max(found, key=lambda mark: mark[0])
        lessons = {outcome["lesson"] for outcome in self.outcomes}
        if exercise[:2] in lessons:
            return False, "not marked: the notebook was stopped before"
        if None in lessons:
            return False, NOT_MARKED
        return False, f"{NO_NOTEBOOK} {exercise[:2]}"

    def sign(self, exercise):
        """✔ for right, ✘ for wrong, – without a notebook of that lesson."""
        right, sentence = self.mark(exercise)
        return "✔" if right else "–" if sentence.startswith(NO_NOTEBOOK) else "✘"

    def notes(self):
        """What went wrong with the notebooks, a line each."""
        if not self.outcomes:
            return ["no notebook in this folder"]
        several = len(self.outcomes) > 1
        return [
            f"{o['notebook']}: {note}" if several else note
            for o in self.outcomes
            for note in o["notes"]
        ]

    def total(self, points):
        return sum(value for e, value in points.items() if self.mark(e)[0])


@dataclass
class Sheet:
    """All rows, and the points of each exercise that counts."""

    rows: list
    points: dict

    @property
    def most(self):
        return sum(self.points.values())

    def right(self, exercise):
        """How many have it right."""
        return sum(row.mark(exercise)[0] for row in self.rows)

    def handed_in(self, exercise):
        """How many have a notebook of that lesson."""
        return sum(row.sign(exercise) != "–" for row in self.rows)


def make_sheet(outcomes, empty=(), points=None):
    """The sheet of some outcomes of `runner.grade_notebook`.

    empty: students without a notebook. points: {exercise: points}; without them each
    exercise of the lessons that are there gives one.
    """
    rows = {student: Row(student) for student in empty}
    for outcome in outcomes:
        rows.setdefault(outcome["student"], Row(outcome["student"]))
        rows[outcome["student"]].outcomes.append(outcome)
    there = {outcome["lesson"] for outcome in outcomes}
    if points is None:
        points = {e: 1 for e in sorted(checks.CHECKS) if e[:2] in there}
    return Sheet([rows[student] for student in sorted(rows)], points)


def as_csv(sheet):
    """The sheet as text: a row a student, a column an exercise."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["student", *sheet.points, "total", "of", "what went wrong"])
    for row in sheet.rows:
        marks = {exercise: row.mark(exercise) for exercise in sheet.points}
        wrong = [
            f"{exercise.split()[0]}: {sentence}"
            for exercise, (right, sentence) in marks.items()
            if not right and not sentence.startswith((NO_NOTEBOOK, NOT_MARKED))
        ]
        missing = [text for _, text in marks.values() if text.startswith(NO_NOTEBOOK)]
        given = [sheet.points[e] if right else 0 for e, (right, _) in marks.items()]
        words = as_text("; ".join([*row.notes(), *wrong, *dict.fromkeys(missing)]))
        total = row.total(sheet.points)
        writer.writerow([as_text(row.student), *given, total, sheet.most, words])
    return out.getvalue()


def as_text(value):
    """A cell that no spreadsheet takes for a formula."""
    return f"'{value}" if value[:1] in ("=", "+", "-", "@", "\t") else value


def as_html(sheet, seed, warnings=()):
    """The report as a page; what students wrote is shown as text only."""
    environment = jinja2.Environment(autoescape=True, trim_blocks=True)
    return environment.from_string(REPORT).render(
        sheet=sheet, seed=seed, warnings=warnings, names={"✔": "right", "✘": "wrong"}
    )
