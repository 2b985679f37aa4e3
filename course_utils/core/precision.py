"""bfloat16 where the processor multiplies it faster."""

import torch


def mixed_precision(training, device="cpu"):
    """Context in which matrix products and convolutions run in bfloat16, if it pays.

    device: where they run, as ``x.device``; other devices than the CPU stay in float32.
    On processors with products for it (AMX or AVX512_BF16) our backbone then trains
    about twice as fast (`make bench`); elsewhere, and where `training` is False,
    nothing changes. Weights and gradients stay float32. Source: Micikevicius et al.
    2018.
    """
    known = getattr(torch.cpu, "get_capabilities", dict)()  # absent in old torch
    pays = training and torch.device(device).type == "cpu"
    pays = pays and (known.get("amx_bf16") or known.get("avx512_bf16"))
    return torch.autocast("cpu", torch.bfloat16, enabled=bool(pays))
