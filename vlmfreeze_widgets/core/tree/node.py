"""The parts of a module tree as values: one name of one tensor, and one module with everything below it. The whole tree is in
``core.tree.tree``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Parameter:
    """One name of one tensor.

    Attributes:
        name: As in ``named_parameters(remove_duplicate=False)``.
        shape: Logical shape; for a packed 4-bit weight the shape before packing.
        dtype: Such as "float32".
        params: Number of elements.
        nbytes: Bytes in memory.
        owner: The first name of the same tensor; equal to ``name`` unless the tensor is shared (tied).
        component: Name of the owning component.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    params: int
    nbytes: int
    owner: str
    component: str

    @property
    def is_alias(self) -> bool:
        """Whether this is a second name of a tensor that was counted elsewhere."""
        return self.owner != self.name

    @property
    def is_packed(self) -> bool:
        """Whether it is quantized (integers, or floats of 8 bits and fewer), so that no optimizer can move it."""
        return not self.dtype.startswith(("float16", "float32", "float64", "bfloat16", "complex"))


@dataclass(frozen=True, slots=True)
class Node:
    """One module, or one bare parameter beside child modules, with everything below it.

    Attributes:
        path: Dotted name; "" for the root.
        class_name: Class of the module, "Parameter" for a bare parameter.
        kind: "module" or "parameter".
        component: Owning component; None where a node spans several.
        parameters: Tensors which the node itself holds.
        own_params: Elements that count here and at no other node: a shared tensor only at its first name, and nothing where
            each tensor has a node of its own below (a bare parameter beside child modules). They sum to the total.
        total_params: The same with everything below.
        own_bytes: Bytes of what counts here.
        total_bytes: Bytes of the subtree.
        children: Nodes below, in the model's order.
        adaptable: How LoRA can adapt it: "linear", "embedding", "conv", "experts" (a stacked three-dimensional parameter,
            through PEFT's ``target_parameters``), or "" when it cannot.
        peft_kind: What PEFT takes the module for by its class alone: "linear", "embedding", "conv" or "". Differs from
            ``adaptable`` where the forward is another one (Llama 4's router) or is never called.
        lora_shape: (in_features, out_features) of an adapter, of one expert's for experts; None when not adaptable.
        is_list: Whether the children are repeated blocks (a ModuleList or Sequential of one class).
        active_params: Elements of the subtree that one token passes: of a mixture's routed experts only as many as its
            router chooses. Equal to ``total_params`` where there is no mixture.
        experts: How many routed experts the node holds itself, stacked; 0 for any other.
        active_experts: How many of those one token passes.
        own_buffers: Elements of buffers (statistics, position tables) which the node itself holds; never trained.
        own_buffer_bytes: Bytes of those.
        same_as: Path of the module that this one is a further name of; "" for any other. LoRA adapts a module where it is
            named first, so that a further name is not adaptable.
        is_cross_attention: Whether it is a block that attends from the text to the picture's features.
    """

    path: str
    class_name: str
    kind: str
    component: str | None
    parameters: tuple[Parameter, ...]
    own_params: int
    total_params: int
    own_bytes: int
    total_bytes: int
    children: tuple[Node, ...] = field(repr=False)
    adaptable: str = ""
    lora_shape: tuple[int, int] | None = None
    is_list: bool = False
    active_params: int = 0
    experts: int = 0
    active_experts: int = 0
    own_buffers: int = 0
    own_buffer_bytes: int = 0
    is_cross_attention: bool = False
    same_as: str = ""
    peft_kind: str = ""

    @property
    def name(self) -> str:
        """The last segment of the path."""
        return self.path.rpartition(".")[2]

    @property
    def depth(self) -> int:
        """Number of path segments; 0 for the root."""
        return self.path.count(".") + 1 if self.path else 0

    @property
    def lora_copies(self) -> int:
        """How many adapters LoRA puts here: one per expert of a stack, else one."""
        return self.parameters[0].shape[0] if self.adaptable == "experts" else 1

    def walk(self) -> Iterator[Node]:
        """This node and all below, parents first."""
        yield self
        for child in self.children:
            yield from child.walk()
