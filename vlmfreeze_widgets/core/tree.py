"""The module tree as a value: nodes, parameter counts, components. How it is read from a model is in ``engine.read``;
how it is drawn as text is in ``core.tree_text``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

from .components import is_below, owner_of
from .errors import UnknownTarget, nearest
from .ports import port


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


@dataclass(frozen=True, slots=True)
class Node:
    """One module, or one bare parameter beside child modules, with everything below it.

    Attributes:
        path: Dotted name; "" for the root.
        class_name: Class of the module, "Parameter" for a bare parameter.
        kind: "module" or "parameter".
        component: Owning component; None where a node spans several.
        parameters: Tensors which the node itself holds.
        own_params: Elements of those, a shared tensor only at its first name.
        total_params: The same with everything below.
        own_bytes: Bytes of the node's own tensors.
        total_bytes: Bytes of the subtree.
        children: Nodes below, in the model's order.
        adaptable: How LoRA can adapt it: "linear", "embedding", "conv", or "" when it cannot.
        lora_shape: (in_features, out_features) of an adapter; None when not adaptable.
        is_list: Whether the children are repeated blocks (a ModuleList or Sequential of one class).
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

    @property
    def name(self) -> str:
        """The last segment of the path."""
        return self.path.rpartition(".")[2]

    @property
    def depth(self) -> int:
        """Number of path segments; 0 for the root."""
        return self.path.count(".") + 1 if self.path else 0

    def walk(self) -> Iterator[Node]:
        """This node and all below, parents first."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True)
class ModuleTree:
    """What a model is made of.

    Attributes:
        root: The node of the whole model.
        title: What the model is called, such as "llava-1.5-7b".
        components: Component name -> module and parameter paths that it owns.
        parameters: Every name of every tensor, in the model's order.
        dtype: Most common dtype of the parameters.
        device: Where the parameters are, such as "cuda:0", "meta", or "mixed".
        dead_ends: Parameters known from the config to get no gradient, such as a vision layer after the one that is read.
        head_paths: Paths that hold the output projection, which "all-linear" leaves alone (PEFT's rule).
    """

    root: Node
    title: str
    components: Mapping[str, tuple[str, ...]]
    parameters: tuple[Parameter, ...]
    dtype: str
    device: str
    dead_ends: frozenset[str] = frozenset()
    head_paths: tuple[str, ...] = ()

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """Every node, parents first."""
        return tuple(self.root.walk())

    @cached_property
    def total_params(self) -> int:
        """Parameters of the whole model; a shared tensor once."""
        return self.root.total_params

    @cached_property
    def total_bytes(self) -> int:
        """Bytes of the whole model."""
        return self.root.total_bytes

    @cached_property
    def by_path(self) -> Mapping[str, Node]:
        """Path -> node."""
        return MappingProxyType({node.path: node for node in self.nodes})

    @cached_property
    def by_name(self) -> Mapping[str, Parameter]:
        """Parameter name (aliases too) -> parameter."""
        return MappingProxyType({p.name: p for p in self.parameters})

    @cached_property
    def owned_paths(self) -> Mapping[str, str]:
        """Owning path -> component name."""
        return MappingProxyType({path: name for name, paths in self.components.items() for path in paths})

    @cached_property
    def aliases(self) -> Mapping[str, tuple[str, ...]]:
        """Owner's name of a shared tensor -> all of its names."""
        names: dict[str, list[str]] = {}
        for p in self.parameters:
            names.setdefault(p.owner, []).append(p.name)
        return MappingProxyType({k: tuple(v) for k, v in names.items() if len(v) > 1})

    def component_of(self, path: str) -> str:
        """The component that owns a path; "other" where none does."""
        return owner_of(path, self.owned_paths) or "other"

    def component_params(self, component: str) -> int:
        """Parameters that a component owns; a shared tensor counts where it is named first."""
        return sum(p.params for p in self.parameters if p.component == component and not p.is_alias)

    def blocks(self, component: str) -> Node | None:
        """The list of repeated blocks of a component: the one that holds most of its parameters."""
        held = [node for node in self.nodes if node.component == component and len(node.children) > 1]
        lists = [node for node in held if node.is_list or node.class_name == "ModuleList"]
        return max(lists, key=lambda node: node.total_params, default=None)

    def __getitem__(self, path: str) -> Node:
        node = self.by_path.get(path)
        if node is None:
            raise self.unknown(path)
        return node

    def __contains__(self, path: object) -> bool:
        return path in self.by_path

    def __len__(self) -> int:
        return len(self.nodes)

    def below(self, path: str) -> tuple[Parameter, ...]:
        """Every parameter name at or below a path."""
        return tuple(p for p in self.parameters if is_below(p.name, path))

    def unknown(self, target: str) -> UnknownTarget:
        """The error for a name that is not in this tree, with the nearest that are."""
        known = [*self.components, *(path for path in self.by_path if path), *self.by_name]
        close = nearest(target, known)
        return UnknownTarget(
            f"Nothing in this model is called {target!r}.",
            expected=f"a component ({', '.join(self.components)}), a path, a glob or a slice",
            found=repr(target),
            remedy=(
                f"Did you mean {' or '.join(repr(c) for c in close)}?" if close else "print(tree) shows every path."
            ),
        )

    def to_pandas(self) -> Any:  # noqa: ANN401 - pandas.DataFrame, when pandas is there
        """One row per node: path, class_name, component, own_params, total_params, own_bytes, total_bytes, depth."""
        return port("frames").tree_frame(self)

    def __str__(self) -> str:
        from .tree_text import tree_text

        return tree_text(self)

    def __repr__(self) -> str:
        parts = ", ".join(self.components)
        return f"<ModuleTree {self.title}: {self.total_params:,} parameters in {len(self.nodes):,} nodes; {parts}>"

    def _repr_html_(self) -> str:
        return str(port("pictures").tree_html(self))
