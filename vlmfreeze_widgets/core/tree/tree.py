"""The module tree as a value: nodes, parameter counts, components. Its parts are in ``core.tree.node``; how it is read from a model
is in ``engine.model.read``; how it is drawn as text is in ``core.tree.text``.

Long because each property of a tree is explained where it stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from ..errors import UnknownTarget, nearest
from .checkpoint_headers import Checkpoint, is_model_folder
from .components import COMPONENTS, is_below, owner_of
from .node import Node, Parameter
from .text import tree_text

__all__ = ["Basis", "ModuleTree", "Node", "Parameter"]

Basis = Literal["config", "names", "given"]


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
        basis: What the components were found by: "config", "names" (then they are a guess) or "given".
        checkpoint: The weight files' headers, where the tree came from a folder with weights.
        note: What else is known of the source, such as why its count differs from the published one.
        model_type: The config's ``model_type``, by which trainers look up their own tables; "" where there is no config.
        born_frozen: Parameters that the model's own code freezes when it is built from its config, as Idefics does.
        source: By what the model is loaded: a Hub id or a folder; "" where that is not known.
    """

    root: Node
    title: str
    components: Mapping[str, tuple[str, ...]]
    parameters: tuple[Parameter, ...]
    dtype: str
    device: str
    dead_ends: frozenset[str] = frozenset()
    head_paths: tuple[str, ...] = ()
    basis: Basis = "config"
    checkpoint: Checkpoint | None = None
    note: str = ""
    model_type: str = ""
    born_frozen: frozenset[str] = frozenset()
    source: str = ""

    @property
    def loads_as(self) -> str:
        """What a trainer's settings name the model by: where its weights lie, what it was loaded by, else what it is called.

        A folder is named by its whole path: the settings are read in another folder than this process runs in.
        """
        name = self.checkpoint.folder if self.checkpoint and not self.source else self.source or self.title
        return str(Path(name).resolve()) if is_model_folder(name) else name

    @property
    def is_guess(self) -> bool:
        """Whether the components were guessed from names alone; ``read_tree(source, components={...})`` corrects them."""
        return self.basis == "names"

    def __getstate__(self) -> dict[str, Any]:
        """Fields alone: what was derived and kept is derived again, and its read-only mappings cannot be pickled."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @cached_property
    def active_params(self) -> int:
        """Parameters that one token passes; less than ``total_params`` only in a mixture of experts."""
        return self.root.active_params

    @cached_property
    def buffers(self) -> int:
        """Elements of all buffers, which are no parameters and never train."""
        return sum(node.own_buffers for node in self.nodes)

    @cached_property
    def buffer_bytes(self) -> int:
        """Bytes of all buffers."""
        return sum(node.own_buffer_bytes for node in self.nodes)

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

    @cached_property
    def parents(self) -> tuple[int, ...]:
        """Per node the place in ``nodes`` of the one above it; -1 for the root."""
        above = [-1] * len(self.nodes)
        at = {node.path: i for i, node in enumerate(self.nodes)}
        for i, node in enumerate(self.nodes):
            for child in node.children:
                above[at[child.path]] = i
        return tuple(above)

    @cached_property
    def _owners(self) -> Mapping[str, str]:
        """Path of each node and parameter -> the component that owns it."""
        owners: dict[str, str] = {}
        for path in (*self.by_path, *self.by_name):
            owners[path] = owner_of(path, self.owned_paths) or "other"
        return owners

    def component_of(self, path: str) -> str:
        """The component that owns a path; "other" where none does."""
        return self._owners.get(path) or owner_of(path, self.owned_paths) or "other"

    @cached_property
    def parameters_of(self) -> Mapping[str, tuple[Parameter, ...]]:
        """Component -> its parameters, further names of shared tensors too."""
        held: dict[str, list[Parameter]] = {name: [] for name in self.components}
        for p in self.parameters:
            held.setdefault(p.component, []).append(p)
        return MappingProxyType({name: tuple(parameters) for name, parameters in held.items()})

    @cached_property
    def _component_params(self) -> Mapping[str, int]:
        return {name: sum(p.params for p in held if not p.is_alias) for name, held in self.parameters_of.items()}

    def component_params(self, component: str) -> int:
        """Parameters that a component owns; a shared tensor counts where it is named first. 0 where this model has none of it.

        Raises:
            UnknownTarget: No model has such a component; the message gives the nearest.
        """
        self._check_component(component)
        return self._component_params.get(component, 0)

    def _check_component(self, component: str) -> None:
        if component not in self.components and component not in COMPONENTS:
            raise self.unknown(component)

    def component_active(self, component: str) -> int:
        """The same, of a mixture's routed experts only those that one token passes.

        Raises:
            UnknownTarget: No model has such a component.
        """
        idle = 0
        for node in self.nodes:
            if node.experts and node.component == component:
                total = node.total_params
                idle += total - total // node.experts * node.active_experts
        return self.component_params(component) - idle

    @cached_property
    def linear_layers(self) -> Mapping[str, frozenset[str]]:
        """Component -> paths of the layers that "all-linear" adapts there, the head left out."""
        linear = [n.path for n in self.nodes if n.adaptable == "linear" and n.path not in self.head_paths]
        owners = {path: self.component_of(path) for path in linear}
        return {name: frozenset(path for path in linear if owners[path] == name) for name in self.components}

    @cached_property
    def _blocks(self) -> Mapping[str, Node]:
        largest: dict[str, Node] = {}
        for node in self.nodes:
            if (
                node.component is None
                or len(node.children) < 2
                or not (node.is_list or node.class_name == "ModuleList")
            ):
                continue
            before = largest.get(node.component)
            if before is None or node.total_params > before.total_params:
                largest[node.component] = node
        return largest

    def blocks(self, component: str) -> Node | None:
        """The list of repeated blocks of a component: the one that holds most of its parameters."""
        return self._blocks.get(component)

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
        close = nearest(str(target), known)
        return UnknownTarget(
            f"Nothing in this model is called {target!r}.",
            expected=f"a component ({', '.join(self.components)}), a path, a glob or a slice",
            found=repr(target),
            remedy=(
                f"Did you mean {' or '.join(repr(c) for c in close)}?" if close else "print(tree) shows every path."
            ),
        )

    def to_pandas(self) -> Any:  # pandas.DataFrame, when pandas is there
        """One row per node: path, class_name, component, own_params, total_params, own_bytes, total_bytes, depth."""
        from ...adapters.pandas_frames import tree_frame

        return tree_frame(self)

    def __str__(self) -> str:
        return tree_text(self)

    def __repr__(self) -> str:
        parts = ", ".join(self.components)
        return f"<ModuleTree {self.title}: {self.total_params:,} parameters in {len(self.nodes):,} nodes; {parts}>"

    def _repr_html_(self) -> str:
        from ...pictures import tree_html

        return str(tree_html(self))
