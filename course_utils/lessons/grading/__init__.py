"""Grading: a class's notebooks, each run by itself, marked from outside.

Three processes take part for each notebook:

- `course_utils.grade` (through `runner`) starts a marker and watches time and memory;
- the marker (`marking`) holds the course's own checks. It runs the notebook's cells and
  gives each check a stand-in (`remote`) in place of the learner's function;
- the learner's kernel (behind `sandbox`) only computes: it gets the arguments of a call
  and returns the result as data (`wire`), so nothing done in it changes a verdict.

It does not protect from a notebook that computes right answers by other means, such as
the course's own functions, nor from code that is out to do harm: learners' code runs
with the rights of whoever grades. On Linux from 5.13 on it can write only below its
temporary folder and, from 6.7 on, open no TCP connection; elsewhere it can. It can read
whatever the teacher can. For code that is not trusted, grade in a container.
"""
