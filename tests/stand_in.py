"""A device that every machine has: tensors on it work, but do not mix with the CPU's.

    with stand_in() as far:
        model.to(far)

A tensor on it holds its numbers in a plain tensor, and says that it is on torch's
device "meta", which no real tensor of the course ever is. As on a GPU, an operation
that is also given a tensor of the CPU raises RuntimeError, unless that is a number
(no dimension) or the operation copies; so do ``numpy()`` and all that wants the memory.
It is a stand-in for the *place* alone: precision and order are the CPU's.
"""

import contextlib

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

FAR = torch.device("meta")
COPIES = ("copy_", "_to_copy")  # may go from one device to the other


class FarTensor(torch.Tensor):
    """A tensor on the stand-in device; `inner` holds its numbers."""

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, inner):
        far = torch.Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            inner.stride(),
            inner.storage_offset(),
            dtype=inner.dtype,
            layout=inner.layout,
            device=FAR,
        )
        far.inner = inner
        return far

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return run(function, args, kwargs or {})

    def __repr__(self, **settings):
        return f"far {self.inner!r}"


def run(function, args, kwargs):
    """One operation of PyTorch, on the device of its inputs or the one it names."""
    name = function.overloadpacket.__name__
    given = [x for x in tree_flatten((args, kwargs))[0] if torch.is_tensor(x)]
    far = [x for x in given if isinstance(x, FarTensor)]
    near = [x for x in given if not isinstance(x, FarTensor) and x.ndim > 0]
    if far and near and name not in COPIES:
        raise RuntimeError(
            f"{name}: a tensor {tuple(near[0].shape)} on the cpu meets"
            f" {tuple(far[0].shape)} on the stand-in device"
        )
    wanted = kwargs.get("device")
    on_far = bool(far) if wanted is None else torch.device(wanted) == FAR
    if name == "copy_":
        on_far = isinstance(args[0], FarTensor)
    if on_far and wanted is not None:
        kwargs = kwargs | {"device": torch.device("cpu")}
    args, kwargs = tree_map(
        lambda x: x.inner if isinstance(x, FarTensor) else x, (args, kwargs)
    )
    found = function(*args, **kwargs)
    if name == "_to_copy" and found is args[0]:
        found = found.clone()
    if not on_far:
        return found
    known = {id(x.inner): x for x in far}
    return tree_map(lambda x: as_far(x, known), found)


def as_far(x, known):
    """An output: what was written into stays the same object."""
    if not torch.is_tensor(x):
        return x
    return known[id(x)] if id(x) in known else FarTensor(x)


class OnFar(TorchDispatchMode):
    """Lets new tensors be made on the stand-in device."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return run(function, args, kwargs or {})


class TensorsFromNumbers(torch.overrides.TorchFunctionMode):
    """torch.tensor and its kin make a tensor on the CPU and copy it."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function in (torch.tensor, torch.as_tensor, torch.asarray):
            device = kwargs.pop("device", None)
            if torch.is_tensor(args[0]) and device is None:
                device = args[0].device
            made = function(*args, **kwargs)
            return made if device is None else made.to(device)
        if function is torch.Tensor.new_tensor:
            tensor, data, *others = args
            kwargs = {"dtype": tensor.dtype, "device": tensor.device} | kwargs
            device = kwargs.pop("device")
            return torch.tensor(data, *others, **kwargs).to(device)
        if function is torch.Tensor.tolist:
            return function(args[0].detach().cpu())
        return function(*args, **kwargs)


@contextlib.contextmanager
def stand_in():
    """Make the stand-in device usable, and give it: ``x.to(far)``."""
    with TensorsFromNumbers(), OnFar():
        yield FAR
