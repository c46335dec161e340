"""The numpy twin of tests/support/deterministic.h: the same made-up weights, bit for bit.

    from luna_weights import fill_state_dict
    module.load_state_dict(fill_state_dict(module.state_dict(), salt=""))
"""

import numpy as np

_MASK = (1 << 64) - 1


def fnv1a(text):
    value = 0xCBF29CE484222325
    for byte in text.encode("utf-8"):
        value = ((value ^ byte) * 0x100000001B3) & _MASK
    return value


def uniform(name, count):
    """`count` f32 numbers in [-1, 1): splitmix64 seeded with fnv1a(name), top 24 bits of each output."""
    with np.errstate(over="ignore"):
        z = np.uint64(fnv1a(name)) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(
            0x9E3779B97F4A7C15
        )
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return ((z >> np.uint64(40)).astype(np.int64) - 0x800000).astype(np.float32) * np.float32(2.0**-23)


def weight(name, shape, salt=""):
    """The f32 weight `name` (without its component's prefix), as fill_weight in C++ makes it."""
    values = uniform(salt + name, int(np.prod(shape, dtype=np.int64)))
    if len(shape) >= 2:
        fan_in = float(np.prod(shape[1:], dtype=np.int64))
        values = values * np.float32(np.sqrt(3.0 / fan_in))
    elif name.endswith(".weight"):
        values = values * np.float32(0.125) + np.float32(1.0)
    else:
        values = values * np.float32(0.0625)
    return values.reshape(shape)


def fill_state_dict(state_dict, salt=""):
    """Torch tensors of the shapes and types of `state_dict`, with the made-up values of their names."""
    import torch

    return {
        name: torch.from_numpy(weight(name, tuple(tensor.shape), salt)).to(tensor.dtype)
        if tensor.is_floating_point()
        else tensor
        for name, tensor in state_dict.items()
    }


if __name__ == "__main__":
    # The constants that tests/unit/tests/support/deterministic_test.cpp expects.
    print("fnv1a", hex(fnv1a("conv_in.weight")))
    print("uniform", [float(v).hex() for v in uniform("conv_in.weight", 4)])
    for name, shape in [("conv_in.weight", (4, 3, 3, 3)), ("norm.weight", (4,)), ("norm.bias", (4,))]:
        print(name, [float(v).hex() for v in weight(name, shape).ravel()[:3]])
    print("half", [hex(v) for v in weight("conv_in.weight", (4, 3, 3, 3)).ravel()[:3].astype(np.float16).view(np.uint16)])
