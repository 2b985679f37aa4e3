"""Values as bytes and back, without pickle: reading them runs no code.

A value becomes a tree in JSON whose tensors lie beside it, all in the safetensors
format. Only data of known kinds can be written that way.
"""

import importlib
import json
import types

import numpy as np
import safetensors.torch
import torch
from torch import nn

from course_utils.lessons.checks import is_stub

PLAIN = (type(None), bool, int, float, str)
SEVERAL = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}
# Where the classes of layers may come from that are made anew on the other side.
LAYERS = ("torch.nn.", "torchvision.", "course_utils.")


def pack(value, keep=None):
    """The bytes of a value: numbers, texts, tensors, arrays, layers, lists of these.

    keep: function that stores any other object and returns its number, which is sent
    in its place. Without it TypeError is raised.
    """
    tensors = []
    tree = json.dumps(to_tree(value, tensors, keep))
    named = {str(n): tensor for n, tensor in enumerate(tensors)}
    named["tree"] = torch.frombuffer(bytearray(tree.encode()), dtype=torch.uint8)
    return safetensors.torch.save(named)


def unpack(data, fetch=None):
    """The value that `pack` wrote. fetch: function of (number, kind) for kept objects.

    Raises ValueError if the bytes are not from `pack`.
    """
    try:
        tensors = safetensors.torch.load(data)
        tree = json.loads(bytes(tensors.pop("tree").tolist()))
        return from_tree(tree, tensors, fetch)
    except Exception as error:  # other people's bytes may break anything
        raise ValueError(f"no packed value ({type(error).__name__}: {error})") from None


def to_tree(value, tensors, keep):
    """`value` as JSON's kinds; tensors are appended to `tensors`."""

    def go(part):
        return to_tree(part, tensors, keep)

    def put(tensor, kind):
        tensors.append(tensor.detach().cpu().contiguous().clone())
        return [kind, len(tensors) - 1, tensor.requires_grad]

    if type(value) in PLAIN:
        return value
    if value is Ellipsis:
        return ["ellipsis"]
    if torch.is_tensor(value):
        return put(value, "parameter" if isinstance(value, nn.Parameter) else "tensor")
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "biuf":
        kind = "array" if isinstance(value, np.ndarray) else "number"
        return put(torch.from_numpy(np.array(value, order="C")), kind)
    if isinstance(value, dict):
        return ["dict", [[go(key), go(part)] for key, part in value.items()]]
    for kind, several in SEVERAL.items():
        if isinstance(value, several):
            return [kind, [go(part) for part in value]]
    if isinstance(value, (range, types.GeneratorType, zip, map, filter)):
        return ["list", [go(part) for part in value]]
    number = getattr(value, "_remote_number", None)
    if number is not None:
        return ["kept", number, ""]
    if isinstance(value, nn.Module) and is_data(value):
        return ["layer", class_name(value), go(layer_parts(value))]
    if keep is None:
        raise TypeError(f"a {type(value).__name__} cannot be sent")
    return ["kept", keep(value), "stub" if is_stub(value) else type(value).__name__]


def from_tree(tree, tensors, fetch):
    """The value of a tree of `to_tree`."""
    if not isinstance(tree, list):
        return tree
    kind, *rest = tree
    if kind == "ellipsis":
        return ...
    if kind in ("tensor", "parameter"):
        tensor = tensors[str(rest[0])].clone()  # no view of the bytes
        if kind == "parameter":
            return nn.Parameter(tensor, requires_grad=rest[1])
        return tensor.requires_grad_(rest[1])
    if kind == "array":
        return tensors[str(rest[0])].numpy().copy()
    if kind == "number":
        return tensors[str(rest[0])].numpy()[()]
    if kind == "dict":
        return {
            from_tree(k, tensors, fetch): from_tree(v, tensors, fetch)
            for k, v in rest[0]
        }
    if kind == "layer":
        return make_layer(rest[0], from_tree(rest[1], tensors, fetch))
    if kind == "kept":
        return fetch(*rest)
    return SEVERAL[kind](from_tree(part, tensors, fetch) for part in rest[0])


def class_name(layer):
    return f"{type(layer).__module__}.{type(layer).__qualname__}"


def is_data(network):
    """Whether the layers of a network are known, without hooks or methods put in."""
    return all(
        class_name(layer).startswith(LAYERS)
        and not (layer._forward_hooks or layer._forward_pre_hooks)
        and not any(callable(getattr(type(layer), name, None)) for name in vars(layer))
        for layer in network.modules()
    )


def layer_parts(layer):
    """What makes up a layer, as data: its own values, weights, buffers and layers."""
    own = set(vars(layer)) - set(vars(nn.Module())) | {"training"}
    plain = (*PLAIN, tuple, list)
    return {
        "values": {
            k: v for k, v in vars(layer).items() if k in own and type(v) in plain
        },
        "_parameters": dict(layer._parameters),
        "_buffers": dict(layer._buffers),
        "_modules": dict(layer._modules),
    }


def make_layer(name, parts):
    """A layer of class `name` from its `layer_parts`; none of its code is run."""
    module, _, attribute = name.rpartition(".")
    made = getattr(importlib.import_module(module), attribute)
    if not name.startswith(LAYERS) or not issubclass(made, nn.Module):
        raise TypeError(f"{name} is no layer")
    layer = made.__new__(made)
    nn.Module.__init__(layer)
    vars(layer).update(parts.pop("values"))
    for group, members in parts.items():
        getattr(layer, group).update(members)
    return layer
