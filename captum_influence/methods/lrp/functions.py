"""Names of functions, by what they do with relevance."""

from __future__ import annotations

from captum_influence.network.tracing import MOVES

__all__ = [
    "ADDED_PRODUCTS",
    "CASTS",
    "CONVOLUTIONS",
    "DENSE",
    "ELEMENTWISE",
    "LINEAR",
    "POWERS",
    "PRODUCTS",
    "QUOTIENTS",
    "SCALES",
    "SUMS",
    "TIMES",
]

ELEMENTWISE = frozenset(
    (
        *("relu", "relu_", "relu6", "leaky_relu", "leaky_relu_", "prelu", "elu", "elu_", "selu"),
        *("celu", "gelu", "silu", "mish", "tanh", "tanh_", "sigmoid", "sigmoid_", "hardtanh"),
        *("hardsigmoid", "hardswish", "softplus", "softsign", "logsigmoid", "threshold", "erf"),
        *("abs", "square", "sin", "cos", "clamp", "clamp_", "clamp_min", "clamp_max", "clip"),
    )
)
POWERS = frozenset({"pow", "__pow__", "pow_"})
SUMS = frozenset(
    (
        *("add", "__add__", "__radd__", "add_", "__iadd__", "sub", "subtract", "__sub__"),
        *("rsub", "__rsub__", "sub_", "__isub__", "neg", "__neg__", "negative"),
    )
)
TIMES = frozenset({"mul", "multiply", "__mul__", "__rmul__", "mul_", "multiply_", "__imul__"})
PRODUCTS = TIMES | {"matmul", "__matmul__", "__rmatmul__", "mm", "bmm", "mv", "dot", "einsum"}
ADDED_PRODUCTS = frozenset({"addmm", "baddbmm", "addbmm", "addmv", "addcmul"})
QUOTIENTS = frozenset(
    {"div", "divide", "true_divide", "__truediv__", "div_", "divide_", "__itruediv__", "__div__"}
)
# Of what follows the inputs: the root, the spread or the length that a norm divides by.
SCALES = frozenset(
    (
        *("rsqrt", "sqrt", "std", "var", "norm", "linalg_vector_norm"),
        *("linalg_norm", "reciprocal", "__rdiv__", "__rtruediv__"),
    )
)
DENSE = frozenset({"linear", "addmm"})
CONVOLUTIONS = frozenset(
    f"conv{transposed}{n}d" for transposed in ("", "_transpose") for n in (1, 2, 3)
)
CASTS = frozenset({"to", "float", "double", "half", "bfloat16", "type", "type_as", "clone"})
# Sums and choices of entries: autograd does with slopes what the ε rule does with relevance.
LINEAR = frozenset(
    (
        *MOVES,
        *SUMS,
        *CASTS,
        *("mean", "sum", "cumsum", "batch_norm", "dropout", "interpolate", "where", "pad"),
        *(f"{kind}_pool{n}d" for kind in ("max", "avg") for n in (1, 2, 3)),
        *(f"adaptive_{kind}_pool{n}d" for kind in ("max", "avg") for n in (1, 2, 3)),
        *(f"max_pool{n}d_with_indices" for n in (1, 2, 3)),
        *("max", "min", "amax", "amin", "maximum", "minimum", "topk", "sort", "masked_select"),
        *("masked_fill", "masked_fill_", "masked_scatter", "__setitem__", "copy_", "roll", "flip"),
        *("repeat", "repeat_interleave", "tile", "index_select", "index_add", "index_add_"),
        *("index_put", "index_put_", "index_copy", "index_copy_", "gather", "take_along_dim"),
        *("scatter", "scatter_", "scatter_add", "scatter_add_", "tril", "triu", "diagonal"),
        *("fold", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "ravel", "hstack"),
        *("concat", "concatenate", "vstack", "cpu", "cuda", "reshape_as", "t", "broadcast_to"),
    )
)
