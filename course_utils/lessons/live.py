"""Live cells: a definition that a learner changes is used by the whole package.

`on()` in a lesson's first cell looks at what each cell defines. A function or class of
the package, or a constant that the lesson imported, stays the package's own object
(with its compiled code) while its cell says what the package says. Docstrings, comments
and formatting do not count: they change nothing that runs. A cell that says something
else takes its place in this kernel: in all modules, defaults, subclasses and compiled
callers. Objects that exist already follow, too, unless the changed class has another
``__init__``: then only new ones are of it. What was computed from a constant when the
package was imported stays, and so do other names in the kernel, as in
``course_nms = nms``: a learner's `nms` may call it.

    live.changed()          what is the learner's, a list of names
    live.restore("nms")     the course's own again; without a name, all
"""

import contextlib
import functools
import sys
import types

from IPython import get_ipython

from course_utils.lessons.live_parts import part_of, put_part, take_part  # noqa: F401
from course_utils.lessons.live_source import (
    Change,
    import_users,
    init_of,
    is_code,
    modules_with,
    package_object,
    part_caches,
    part_owner,
    read_cell,
    same_code,
    same_value,
    syntax,
    taught,
)
from course_utils.lessons.live_swap import (
    Pair,
    compile_again,
    compiled_users,
    dispatcher,
    spots,
    swap,
)

# Kinds of value that an assignment may put in a function's or a class's place.
CALLABLE = (type, types.FunctionType, types.BuiltinFunctionType, functools.partial)


class Live:
    """What one kernel changed. shell: None outside of IPython, where no cell runs."""

    def __init__(self, shell=None):
        self.shell = shell
        self.kernel = shell.user_ns if shell else vars(sys.modules["__main__"])
        self.changes, self.imported = {}, {}
        self.own = {}  # compiled again -> the compiled function that it stands in for
        modules_with()  # read the package now, so that no cell waits for it

    def after_cell(self, result):
        """IPython calls this after each cell. It never raises."""
        if not result.success:
            return
        try:
            imports, definitions = read_cell(self.shell, result.info.raw_cell)
            self.imported |= imports
        except Exception:  # not Python that ast can read: nothing to watch
            return
        for name, node in definitions.items():
            part = part_owner(getattr(node, "decorator_list", ()))
            if name not in self.kernel and not part:
                continue
            try:
                line = take_part(self, name, node) if part else self.take(name, node)
            except Exception as error:
                reason = (str(error) or type(error).__name__).splitlines()[0]
                line = f"NOTE  the package cannot use your `{name}`: {reason}"
            if line:
                print(line)

    def meant(self, name, node):
        """The module whose `name` a definition replaces; None if it is the learner's.

        Raises ValueError where two modules have the name and nothing says which.
        """
        modules = modules_with().get(name, ())
        for module in modules:
            if f"{module.removeprefix('course_utils.')}.{name}" in taught():
                return module
        if self.imported.get(name) in modules:
            return self.imported[name]
        # Constants such as SIZES, and helpers of `data` such as `add`, have names that
        # a lesson may want for itself.
        modules = [
            module
            for module in modules
            if module.split(".")[1] not in ("core", "data")
            and is_code(syntax(module)[name])
        ]
        if len(modules) > 1:
            raise ValueError(f"{' and '.join(modules)} have one; import the one meant")
        return modules[0] if modules else None

    def take(self, name, node):
        """Compare a definition with the package's, and act; returns a line or None."""
        module = self.meant(name, node)
        if module is None:
            return None
        value, known = self.kernel[name], syntax(module)[name]
        change = self.changes.get((module, name))
        there = package_object(module, name)  # perhaps compiled for a learner's
        course = change.course if change else self.base(there)
        constant = not is_code(known)
        assigned = not is_code(node)
        usable = isinstance(value, CALLABLE) or dispatcher(value)
        if not constant and assigned and not usable:
            return None  # such as `predict = 3`
        if value is course or (
            same_value(value, course) if constant else same_code(node, known)
        ):
            mine = change is not None and not change.hidden
            line = self.give_back(change) if mine else None
            self.kernel[name] = package_object(module, name)
            return line
        again = change is not None and same_code(node, change.node)
        self.put(change or Change(module, name, course, there, known), value, node)
        if again:
            return None
        return (
            f"`{name}` is yours from now on; restart the kernel for the course's own."
        )

    def give_back(self, change, all_of_it=False):
        """Undo a change; a mystery's fault comes back, unless all of it is to go."""
        own = change.course, syntax(change.module)[change.name]
        hidden = change.hidden
        self.put(change, *(own if all_of_it else change.fault or own))
        if not hidden and "." not in change.name:
            self.kernel[change.name] = change.now
        return f"`{change.name}` is the course's own again."

    def put(self, change, new, node):
        """Put an object in the place of the one there is: everywhere, or nowhere."""
        if "." in change.name:
            return put_part(self, change, new, node)
        kernel, name, old = self.kernel, change.name, change.now
        yours = new is not change.course
        import_users(name)
        known = syntax(change.module)[name]
        constant = not is_code(known)
        here = spots(old, name, kernel, constant)
        users = compiled_users(here, kernel)
        users = [user for user in users if user is not old and user is not new]
        if yours and dispatcher(new):
            new = compile_again(new)
        elif yours and users and dispatcher(old) and type(new) is types.FunctionType:
            new = compile_again(change.course, new)  # compiled code calls no other
        follow = isinstance(new, type) and init_of(node) == init_of(change.node)
        # Compiled code that uses something of the learner's must be compiled for it;
        # all other goes back to what it was.
        changed = here if yours else set()
        for other in self.changes.values():
            if other is not change:
                alone = not is_code(syntax(other.module)[other.name])
                changed = changed | spots(other.now, other.name, kernel, alone)
        bound = {id(user) for user in compiled_users(changed, kernel, new)}
        own = dict(self.own)

        def fitting(user):
            base = self.base(user)
            if id(user) not in bound:
                return base
            again = compile_again(base)
            own[id(again)] = (again, base)
            return again

        if not yours and id(new) in bound:
            new = fitting(new)
        pairs = [Pair(old, new, name, constant, follow)]
        pairs += [Pair(user, fitting(user), user.__name__) for user in users]
        shown = yours and not (change.fault and node is change.fault[1])
        if shown:
            kernel[name] = old  # so that it is one of the places, and undone with them
        try:
            swap(pairs, kernel)
        except Exception:
            if shown:
                kernel[name] = new
            raise
        self.own = own
        change.now, change.node = new, node
        for other in self.changes.values():
            for pair in pairs:
                if other.now is pair.old:
                    other.now = pair.new
        self.changes.pop((change.module, name), None)
        if yours:
            self.changes[change.module, name] = change
        part_caches(self.changes.values())

    def base(self, function):
        """The compiled function for which another one was compiled; or itself."""
        return self.own.get(id(function), (None, function))[1]


LIVE = None


def on(shell=None):
    """Watch this kernel's cells from now on; outside of IPython nothing happens.

    shell: an InteractiveShell, by default the running one.
    """
    global LIVE
    shell = shell or get_ipython()
    if shell is None or (LIVE and LIVE.shell is shell):
        return
    off()
    LIVE = Live(shell)
    shell.events.register("post_run_cell", LIVE.after_cell)


def off():
    """Stop watching, and give back all that is the learner's."""
    global LIVE
    if LIVE:
        if LIVE.shell:
            LIVE.shell.events.unregister("post_run_cell", LIVE.after_cell)
        for change in list(LIVE.changes.values()):
            LIVE.give_back(change, all_of_it=True)
        LIVE = None


@contextlib.contextmanager
def paused(only_faults=False):
    """Within, package and kernel are the course's own; then all is as it was.

    only_faults: what is set aside is a mystery's fault, and no change of the learner's.
    """
    kept = []
    try:
        if LIVE:
            set_aside(kept, only_faults)
        yield
    finally:
        put_back(kept)


def set_aside(kept, only_faults=False):
    """Give the course's own back; `kept` gets what `put_back` takes to undo that."""
    chosen = [c for c in LIVE.changes.values() if c.hidden or not only_faults]
    kept += [(change, change.now, change.node) for change in chosen]
    for change in chosen:
        LIVE.give_back(change, all_of_it=True)


def put_back(kept):
    """Undo `set_aside`, but for what was changed since."""
    for change, now, node in kept:
        if (change.module, change.name) not in LIVE.changes:
            change.now = now_there(change)
            LIVE.put(change, now, node)


def now_there(change):
    """What stands in the package under a change's name; another one's may put it."""
    owner, _, method = change.name.rpartition(".")
    if owner:
        return vars(package_object(change.module, owner))[method]
    return package_object(change.module, change.name)


def changed():
    """The names that are the learner's, in the order of their changes."""
    return [change.name for change in learners()]


def learners():
    every = LIVE.changes.values() if LIVE else ()
    return [change for change in every if not change.hidden]


def restore(name=None):
    """Give the course's own back, in package and kernel: of one name, or of all.

    Raises ValueError for a name that is not the learner's.
    """
    if name is not None and name not in changed():
        yours = ", ".join(changed()) or "nothing"
        raise ValueError(f"{name!r} is not changed; yours is: {yours}")
    for change in learners():
        if name in (None, change.name):
            print(LIVE.give_back(change))
