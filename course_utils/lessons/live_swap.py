"""Put one object in the place of another, wherever package and kernel hold it.

The hands of `live`, which decides what is put where. Nothing here is for lessons.
"""

import ast
import functools
import gc
import inspect
import operator
import sys
import textwrap
import types
from typing import Any, NamedTuple

from numba.core.caching import NullCache
from numba.core.dispatcher import Dispatcher

from course_utils.core.compiled import njit

# live.py and this file know both objects; checks hold answers against the course's.
MINE = tuple(f"course_utils.lessons.{name}" for name in ("live", "checks", "mutants"))


class Pair(NamedTuple):
    """`old` is to go and `new` to come; `name` is what the package calls them.

    constant: only where a name says so, since equal numbers may be one object in
    Python; follow: instances of an old class become instances of the new one.
    """

    old: Any
    new: Any
    name: str
    constant: bool = False
    follow: bool = False


def swap(pairs, kernel):
    """Put each pair's new object in the old one's places: all of them, or none.

    kernel: the namespace of the lesson. What is found: names in modules of the package
    and, under its own name, in the kernel; defaults, closures and partials; attributes
    of classes and instances; base classes. Raises what Python raises where it refuses,
    such as TypeError for a base that is no class; then all is as before.
    """
    done = []
    try:
        for put, pair in list(places(pairs, kernel)):
            put(pair.new)
            done.append((put, pair))
    except Exception:
        for put, pair in reversed(done):
            put(pair.old)
        raise
    forget_results()


def namespaces(kernel):
    """The kernel's names, then those of each loaded module of the package."""
    yield kernel
    for name, module in list(sys.modules.items()):
        if name.startswith("course_utils") and not name.startswith(MINE):
            yield vars(module)


def places(pairs, kernel):
    """All (function that puts a value there, pair) of a number of pairs."""
    wanted = {id(pair.old): pair for pair in pairs}
    for space in namespaces(kernel):
        for key, value in list(space.items()):
            pair = wanted.get(id(value))
            # In the kernel another name for it, as in `course_nms = nms`, is left.
            anywhere = pair and not pair.constant and space is not kernel
            if pair and (anywhere or key == pair.name):
                yield functools.partial(operator.setitem, space, key), pair
    for pair in pairs:
        if isinstance(pair.old, type):
            # Subclasses get the new base, and with it their super().
            for sub in set(pair.old.__subclasses__()) - set(inspect.getmro(pair.new)):
                yield functools.partial(set_base, sub, pair.old, pair.new), pair
    new = {id(pair.new) for pair in pairs}  # may call the old one, so keeps it
    # All that Python's garbage collector knows: every function, class and instance.
    # Half a million things of a few thousand types, so each type is looked at once.
    looks = {}
    for thing in gc.get_objects():
        kind = type(thing)
        if kind not in looks:
            looks[kind] = look_for(kind)
        if looks[kind] and id(thing) not in new:
            yield from looks[kind](thing, wanted)


def look_for(kind):
    """The function that finds places in things of a type; None if there are none."""
    if kind is types.FunctionType:
        return places_in_function
    if kind is functools.partial:
        return places_in_partial
    if issubclass(kind, type):
        return places_in_class
    return places_in_instance if ours(kind) else None


def places_in_partial(thing, wanted):
    func, args, keywords, _ = thing.__reduce__()[2]
    if id(func) in wanted:
        yield functools.partial(set_state, thing, None), wanted[id(func)]
    for i, value in enumerate(args):
        if id(value) in wanted and not wanted[id(value)].constant:
            yield functools.partial(set_state, thing, i), wanted[id(value)]
    yield from places_in_dict(keywords, wanted)


def places_in_class(thing, wanted):
    if not ours(thing):
        return
    for key, value in list(vars(thing).items()):
        inner = getattr(value, "__func__", None) if type(value) is staticmethod else 0
        if id(inner) in wanted:
            yield functools.partial(set_static, thing, key), wanted[id(inner)]
        elif id(value) in wanted and not wanted[id(value)].constant:
            yield functools.partial(setattr, thing, key), wanted[id(value)]


def places_in_instance(thing, wanted):
    yield from places_in_dict(getattr(thing, "__dict__", {}), wanted)
    pair = wanted.get(id(type(thing)))
    if pair and pair.follow:
        yield functools.partial(object.__setattr__, thing, "__class__"), pair


def places_in_dict(names, wanted):
    for key, value in list(names.items()):
        if id(value) in wanted and not wanted[id(value)].constant:
            yield functools.partial(operator.setitem, names, key), wanted[id(value)]


def places_in_function(function, wanted):
    if not ours(function):
        return
    for i, value in enumerate(function.__defaults__ or ()):
        pair = wanted.get(id(value))
        if pair and (not pair.constant or written(function, i) == pair.name):
            yield functools.partial(set_default, function, i), pair
    for key, value in (function.__kwdefaults__ or {}).items():
        pair = wanted.get(id(value))
        if pair and (not pair.constant or written(function, key) == pair.name):
            put = functools.partial(operator.setitem, function.__kwdefaults__, key)
            yield put, pair
    if function.__module__ == "__main__":
        return  # the learner's own wrapper may keep what it wraps
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or ()):
        try:
            pair = wanted.get(id(cell.cell_contents))
        except ValueError:  # an empty cell
            continue
        # A method finds its class, for super(), in a cell of this name.
        if pair and not pair.constant and name != "__class__":
            yield functools.partial(setattr, cell, "cell_contents"), pair


def ours(thing):
    """Whether the package or the lesson defines a function or class."""
    module = getattr(thing, "__module__", None)
    if not isinstance(module, str) or module.startswith(MINE):
        return False
    return module == "__main__" or module.startswith("course_utils")


def set_base(sub, old, new, value):
    other = new if value is old else old
    sub.__bases__ = tuple(value if base is other else base for base in sub.__bases__)


def set_default(function, i, value):
    defaults = function.__defaults__
    function.__defaults__ = (*defaults[:i], value, *defaults[i + 1 :])


def set_static(owner, key, value):
    setattr(owner, key, staticmethod(value))


def set_state(partial, i, value):
    """Another function (i is None) or argument of a functools.partial."""
    func, args, keywords, attributes = partial.__reduce__()[2]
    if i is None:
        func = value
    else:
        args = (*args[:i], value, *args[i + 1 :])
    partial.__setstate__((func, args, keywords, attributes))


def written(function, which):
    """The name that stands as a default in a function's source, or None.

    which: its place among the defaults, or its keyword.
    """
    try:
        source = textwrap.dedent(inspect.getsource(function))
        args = ast.parse(source).body[0].args
    except (OSError, TypeError, SyntaxError, AttributeError):
        return None
    if isinstance(which, int):
        default = args.defaults[which]
    else:
        names = [arg.arg for arg in args.kwonlyargs]
        default = args.kw_defaults[names.index(which)]
    return getattr(default, "id", None)


def forget_results():
    """Empty every functools.cache of the package: what is in it is of the old code."""
    kind = type(functools.cache(len))
    for thing in [thing for thing in gc.get_objects() if type(thing) is kind]:
        if ours(thing):
            thing.cache_clear()


# Compiled code binds the compiled functions and the constants that it uses when it is
# compiled. So who uses a changed one, directly or not, is compiled again.


def dispatcher(function):
    """numba's object behind a compiled function, or None for any other."""
    if isinstance(function, Dispatcher):
        return function
    if hasattr(function, "py_func"):  # parallel code, which `njit` lets run in turn
        for cell in function.__closure__ or ():
            if isinstance(cell.cell_contents, Dispatcher):
                return cell.cell_contents
    return None


def compile_again(function, plain=None):
    """A copy of a compiled function, not yet compiled, that no cache on disk keeps.

    plain: compile this Python function instead, with the same options.
    """
    options = dict(dispatcher(function).targetoptions)
    options.pop("nopython", None)  # numba sets it
    options = {key: value for key, value in options.items() if value is not None}
    again = njit(**options)(plain or function.py_func)
    dispatcher(again)._cache = NullCache()  # its key knows nothing of inner functions
    return again


def spots(value, name, kernel, constant=False):
    """Where global names hold an object: a set of (id of the namespace, name)."""
    found = {(id(kernel), name)}
    for space in namespaces(kernel):
        for key, held in list(space.items()):
            if held is value and (key == name or not constant):
                found.add((id(space), key))
    return found


def compiled_users(of, kernel, another=None):
    """All compiled functions that use what stands at `of`, directly or not.

    another: a function to look at besides those that now have a name.
    """
    known = {
        id(value): value
        for space in namespaces(kernel)
        for value in list(space.values())
        if dispatcher(value)
    }
    if dispatcher(another):
        known[id(another)] = another
    users, of = [], set(of)
    more = True
    while more:
        more = False
        for function in list(known.values()):
            space = id(function.py_func.__globals__)
            if any((space, n) in of for n in used_names(function.py_func.__code__)):
                users.append(known.pop(id(function)))
                of |= spots(function, function.__name__, kernel)
                more = True
    return users


def used_names(code):
    """Global names in a function's code, also in its comprehensions."""
    inner = (part for part in code.co_consts if isinstance(part, types.CodeType))
    return set(code.co_names).union(*map(used_names, inner))
