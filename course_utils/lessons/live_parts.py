"""A long class, shown method by method: ``@live.part_of(FastRCNN)`` above a function.

Such a cell says what the package's class says of that method. Unchanged it changes
nothing; changed, it becomes the method of the package's class.
"""

import ast
import copy

from course_utils.lessons.live_source import (
    Change,
    package_object,
    part_caches,
    part_owner,
    same_code,
    syntax,
)
from course_utils.lessons.live_swap import forget_results


def part_of(owner):
    """Decorator: the function below is a method of a class of the package.

    In a lesson whose cells are live (`live.on`), a function that differs from the
    class's own takes its place. Raises TypeError for what is no class.
    """
    if not isinstance(owner, type):
        raise TypeError(f"part_of({owner!r}): give the class, such as part_of(RPN)")
    return lambda function: function


def bare(node):
    """A method's syntax without ``part_of``."""
    node = copy.deepcopy(node)
    node.decorator_list = [d for d in node.decorator_list if part_owner([d]) is None]
    return node


def as_method(owner, node, file, kernel):
    """The function that a cell defines, as a method that may call ``super()``.

    kernel: the names that it sees. Its class is found in a cell of the name
    ``__class__``, as Python does it for a function within a class.
    """
    outer = ast.parse("def outer(__class__):\n    return 0").body[0]
    outer.body = [node, ast.Return(ast.Name(node.name, ast.Load()))]
    tree = ast.fix_missing_locations(ast.Module([outer], []))
    made = {}
    exec(compile(tree, file, "exec"), kernel, made)
    return made["outer"](owner)


def take_part(live, name, node):
    """What `Live.take` does, for a method: compare, and act; a line or None."""
    kernel = live.kernel
    owner, _, method = name.partition(".")
    function = kernel.pop(method, None)  # a method, none of the lesson's functions
    module = getattr(kernel.get(owner), "__module__", "")
    if not module.startswith("course_utils."):
        raise ValueError(f"`{owner}` is no class of the package")
    if name not in syntax(module):
        raise ValueError(f"the package's {owner} has no `{method}`")
    node, known = bare(node), syntax(module)[name]
    change = live.changes.get((module, name))
    if same_code(node, known):
        mine = change is not None and not change.hidden
        return live.give_back(change) if mine else None
    if change is not None and same_code(node, change.node):
        return None
    own = package_object(module, owner)
    file = getattr(getattr(function, "__code__", None), "co_filename", "<lesson>")
    if change is None:
        course = vars(own)[method]
        change = Change(module, name, course, course, known)
    put_part(live, change, as_method(own, node, file, kernel), node)
    return f"`{name}` is yours from now on; restart the kernel for the course's own."


def put_part(live, change, new, node):
    """Make `new` the method; what `Live.put` does for a function."""
    owner, _, method = change.name.partition(".")
    setattr(package_object(change.module, owner), method, new)
    change.now, change.node = new, node
    live.changes.pop((change.module, change.name), None)
    if new is not change.course:
        live.changes[change.module, change.name] = change
    forget_results()
    part_caches(live.changes.values())
