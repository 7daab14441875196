"""A source becomes a ModuleTree: a walk over an ``nn.Module``, real or on meta. Who owns what is in ``engine.model.components``.

Long because one walk makes all that a node holds.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from ...core.arguments import TEXT, Kind, checked, maybe
from ...core.errors import BadSource
from ...core.tree.checkpoint_headers import Checkpoint
from ...core.tree.components import owner_of
from ...core.tree.tree import ModuleTree, Node, Parameter
from .adaptable import can_carry_lora, peft_kind
from .components import find_split
from .dead_ends import dead_parameters
from .experts import ExpertShare, find_experts
from .quantized import is_packed_name, logical_shape, packed_weight, stored_bytes
from .wrappers import unwrap

_CROSS_ATTENTION = re.compile(r"cross.?att", re.IGNORECASE)
_CORRECTIONS = Kind(
    "a mapping of components to a path or a list of paths",
    lambda value: isinstance(value, Mapping)
    and all(isinstance(p, str) or (isinstance(p, list | tuple | set | frozenset) and all(isinstance(q, str) for q in p))
            for p in value.values()),
    'Write, for example, components={{"projector": ["model.connector"]}}.',
)  # fmt: skip


@checked(title=maybe(TEXT), components=maybe(_CORRECTIONS))
def read_tree(
    source: Any,  # module, config, folder, Hub id or entry of the catalogue
    *,
    title: str | None = None,
    components: Mapping[str, str | Iterable[str]] | None = None,
) -> ModuleTree:
    """Reads what a model is made of.

    Args:
        source: An ``nn.Module`` (real, on meta, compiled, quantized, or a PeftModel), a transformers config or its
            dictionary, a local model folder, a Hub id in the local cache, or a checkpoint of ``vf.catalog()``. Everything
            but a module is built on the meta device: no weights are read, no code of the checkpoint is run.
        title: What to call it; by default the name it was loaded from, else its class.
        components: Corrections: component -> path or paths that it owns, whatever was found. The rest stays as found; the
            longest path owns.

    Returns:
        The tree; a tensor with several names counts once, by identity.

    Raises:
        BadSource: No model can be made of the source, or its lazy modules have no shapes yet.
        RemoteCode: The checkpoint needs Python files of its own.
        UnknownTarget: ``components`` names a component or a path that does not exist.
    """
    if isinstance(source, ModuleTree):
        return source
    checkpoint, note = None, ""
    if not isinstance(source, nn.Module):
        from ...adapters.transformers_models import build_on_meta

        built = build_on_meta(source)
        source, checkpoint, note = built.model, built.checkpoint, built.note
        title = title or built.title
    model = unwrap(source)
    check_initialized(model)
    return _Reader(model, components).read(title or _title_of(model), checkpoint, note)


def check_initialized(model: nn.Module) -> None:
    """Raises where a lazy module (``nn.LazyLinear``, ``nn.LazyConv2d``, ``nn.LazyBatchNorm1d`` ...) has no shape yet.

    Raises:
        BadSource: Names the first of its tensors.
    """
    named = [*model.named_parameters(), *model.named_buffers()]
    lazy = [name for name, tensor in named if is_lazy(tensor)]
    if lazy:
        owner = model.get_submodule(lazy[0].rpartition(".")[0])
        raise BadSource(
            f"{len(lazy)} tensors of the model have no shape yet.",
            expected="a model whose lazy modules have seen a batch",
            found=f"{type(owner).__name__} with the uninitialized {lazy[0]}",
            remedy="Run the model on one batch first (under torch.no_grad()), or build it with nn.Linear and its like.",
        )


class _Reader:
    def __init__(self, model: nn.Module, given: Mapping[str, str | Iterable[str]] | None) -> None:
        self.model = model
        self.split = find_split(model, given)
        self.owned = {path: name for name, paths in self.split.components.items() for path in paths}
        self.experts = find_experts(model)
        self.first_name: dict[int, str] = {}
        self.first_path: dict[int, str] = {}
        self.parameters: list[Parameter] = []
        self.carries: dict[tuple[object, ...], bool] = {}

    def read(self, title: str, checkpoint: Checkpoint | None, note: str) -> ModuleTree:
        root = self._node(self.model, "", None)
        dtypes: Counter[str] = Counter()
        for p in self.parameters:
            if not p.is_alias:
                dtypes[p.dtype] += p.params
        devices = {str(p.device) for p in self.model.parameters()}
        tree = ModuleTree(
            root=root,
            title=title,
            components={name: tuple(paths) for name, paths in self.split.components.items()},
            parameters=tuple(self.parameters),
            dtype=dtypes.most_common(1)[0][0] if dtypes else "none",
            device=devices.pop() if len(devices) == 1 else "mixed" if devices else "none",
            head_paths=tuple(self.split.components.get("head", ())),
            basis=self.split.basis,
            checkpoint=checkpoint,
            note=note,
            model_type=str(getattr(getattr(self.model, "config", None), "model_type", "") or ""),
            born_frozen=self._born_frozen(),
            source=str(getattr(getattr(self.model, "config", None), "_name_or_path", "") or ""),
        )
        dead = dead_parameters(self.model, tree)
        object.__setattr__(tree, "dead_ends", dead)
        return tree

    def _born_frozen(self) -> frozenset[str]:
        """Only of a model without weights, untouched since it was built: a live one's switches are the user's."""
        named = self.model.named_parameters()
        return frozenset(n for n, p in named if p.is_meta and p.is_floating_point() and not p.requires_grad)

    def _node(self, module: nn.Module, path: str, share: ExpertShare | None) -> Node:
        """``share``: of the mixture whose list of experts this module lies in."""
        prefix = f"{path}." if path else ""
        first = self.first_path.setdefault(id(module), path)
        own = tuple(
            self._parameter(name=prefix + name, tensor=tensor)
            for name, tensor in module._parameters.items()
            if tensor is not None
        )
        packed = packed_weight(module)
        if packed is not None:
            name = prefix + packed.name
            held = Parameter(
                name,
                packed.shape,
                packed.dtype,
                torch.Size(packed.shape).numel(),
                packed.nbytes,
                name,
                self._owner(name),
            )
            self.parameters.append(held)
            own = (*own, held)
        here = self.experts.get(path)
        share = here or share
        stacked = here is not None and not isinstance(module, nn.ModuleList)
        children = [
            self._node(child, prefix + name, share) for name, child in module._modules.items() if child is not None
        ]
        if children or stacked:
            # Beside child modules a bare parameter (image_newline, class_embedding) is a place of its own; so is each
            # stack of experts, which LoRA adapts one by one.
            children = [self._bare(parameter, here if stacked else None, first == path) for parameter in own] + children
        # What has a node of its own counts there: the sum over all nodes is the sum over all tensors.
        counted = [] if children else [p for p in own if not p.is_alias]
        own_params, own_bytes = sum(p.params for p in counted), sum(p.nbytes for p in counted)
        active = sum(p.params // share.count * share.active if share else p.params for p in counted)
        kind, shape = peft_kind(module) if first == path else ("", None)
        adaptable = kind if kind and self._can_carry(module) else ""
        kinds = {type(child) for child in module._modules.values()}
        buffers = [b for name, b in module._buffers.items() if b is not None and not is_packed_name(module, name)]
        return Node(
            path=path,
            class_name=type(module).__name__,
            kind="module",
            component=self._component(path, own, children),
            parameters=own,
            own_params=own_params,
            total_params=own_params + sum(child.total_params for child in children),
            own_bytes=own_bytes,
            total_bytes=own_bytes + sum(child.total_bytes for child in children),
            children=tuple(children),
            adaptable=adaptable,
            lora_shape=shape if adaptable else None,
            peft_kind=kind,
            is_list=isinstance(module, nn.ModuleList | nn.Sequential) and len(kinds) == 1 and len(module._modules) > 1,
            active_params=active + sum(child.active_params for child in children),
            experts=here.count if here else 0,
            active_experts=here.active if here else 0,
            own_buffers=sum(b.numel() for b in buffers),
            own_buffer_bytes=sum(stored_bytes(b) for b in buffers),
            is_cross_attention=bool(_CROSS_ATTENTION.search(type(module).__name__))
            and path.rpartition(".")[2].isdigit(),
            same_as=first if first != path else "",
        )

    def _can_carry(self, module: nn.Module) -> bool:
        """Layers that are alike in class, sizes and plain attributes compute alike: one of them is tried."""
        plain = [
            (k, v) for k, v in vars(module).items() if isinstance(v, int | float | str | tuple) and k != "training"
        ]
        sizes = [(k, tuple(p.shape), p.dtype) for k, p in module._parameters.items() if p is not None]
        alike = (type(module), repr(plain), tuple(sizes))
        if alike not in self.carries:
            self.carries[alike] = can_carry_lora(module)
        return self.carries[alike]

    def _bare(self, parameter: Parameter, share: ExpertShare | None, is_first: bool) -> Node:
        counted = 0 if parameter.is_alias else parameter.params
        stacked = share is not None and len(parameter.shape) == 3 and is_first
        return Node(
            path=parameter.name,
            class_name="Parameter",
            kind="parameter",
            component=parameter.component,
            parameters=(parameter,),
            own_params=counted,
            total_params=counted,
            own_bytes=0 if parameter.is_alias else parameter.nbytes,
            total_bytes=0 if parameter.is_alias else parameter.nbytes,
            children=(),
            adaptable="experts" if stacked else "",
            lora_shape=(parameter.shape[1], parameter.shape[2]) if stacked else None,
            active_params=counted // share.count * share.active if share else counted,
        )

    def _parameter(self, name: str, tensor: torch.Tensor) -> Parameter:
        shape = logical_shape(tensor)
        parameter = Parameter(
            name=name,
            shape=shape,
            dtype=str(tensor.dtype).removeprefix("torch."),
            params=torch.Size(shape).numel(),
            nbytes=stored_bytes(tensor),
            # By identity, never data_ptr: on meta every pointer is 0, and a view shares memory without being the tensor.
            owner=self.first_name.setdefault(id(tensor), name),
            component=self._owner(name),
        )
        self.parameters.append(parameter)
        return parameter

    def _owner(self, name: str) -> str:
        return owner_of(name, self.owned) or "other"

    def _component(self, path: str, own: tuple[Parameter, ...], children: list[Node]) -> str | None:
        names = {p.component for p in own} | {child.component for child in children}
        if not names:
            return owner_of(path, self.owned)
        return names.pop() if len(names) == 1 else owner_of(path, self.owned) if path else None


def _title_of(model: nn.Module) -> str:
    name = str(getattr(getattr(model, "config", None), "_name_or_path", "") or "")
    return name.rstrip("/").rpartition("/")[2] or type(model).__name__
