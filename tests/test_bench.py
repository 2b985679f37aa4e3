"""Every row of `make bench` computes something, on both of its sides."""

import pytest

from bench import rows, sliders

SIDES = [name for name in dir(rows) if name.startswith("bench_")]


@pytest.mark.slow
@pytest.mark.parametrize("name", SIDES)
def test_both_sides_of_each_bench_row_run(name, monkeypatch):
    names = []

    def once(name, ours, reference, runs=1):
        ours(), reference()
        names.append(name)
        return 1.0

    monkeypatch.setattr(rows, "compare", once)
    getattr(rows, name)()
    assert names


@pytest.mark.slow
def test_every_explorer_of_the_slider_bench_is_made():
    for name, make in sliders.explorers().items():
        assert make() is not None, name
