"""One walk over an ``nn.Module`` (real or on meta) gives its ModuleTree. Where the module comes from is not decided here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from ..core.components import owner_of
from ..core.ports import port
from ..core.tree import ModuleTree, Node, Parameter
from .components import find_components
from .dead_ends import dead_parameters


def read_tree(source: Any, *, title: str | None = None) -> ModuleTree:  # noqa: ANN401 - module, config, folder or Hub id
    """Reads what a model is made of.

    Args:
        source: An ``nn.Module`` (real, on meta, or a PeftModel), a transformers config, a local model folder, or a Hub
            id. Everything but a module is built on the meta device: no weights are read.
        title: What to call it; by default the name it was loaded from, else its class.

    Returns:
        The tree; a tensor with several names counts once, by identity.

    Raises:
        BadSource: No model can be made of the source.
    """
    if isinstance(source, ModuleTree):
        return source
    if not isinstance(source, nn.Module):
        source, found_title = port("models").build_on_meta(source)
        title = title or found_title
    return _Reader(source).read(title or _title_of(source))


class _Reader:
    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.components: Mapping[str, tuple[str, ...]] = find_components(model)
        self.owned = {path: name for name, paths in self.components.items() for path in paths}
        self.first_name: dict[int, str] = {}
        self.parameters: list[Parameter] = []

    def read(self, title: str) -> ModuleTree:
        root = self._node(self.model, "")
        dtypes: Counter[str] = Counter()
        for p in self.parameters:
            if not p.is_alias:
                dtypes[p.dtype] += p.params
        devices = {str(p.device) for p in self.model.parameters()}
        tree = ModuleTree(
            root=root,
            title=title,
            components={name: tuple(paths) for name, paths in self.components.items()},
            parameters=tuple(self.parameters),
            dtype=dtypes.most_common(1)[0][0] if dtypes else "none",
            device=devices.pop() if len(devices) == 1 else "mixed" if devices else "none",
            head_paths=tuple(self.components.get("head", ())),
        )
        dead = dead_parameters(self.model, tree)
        object.__setattr__(tree, "dead_ends", dead)
        return tree

    def _node(self, module: nn.Module, path: str) -> Node:
        prefix = f"{path}." if path else ""
        own = tuple(
            self._parameter(name=prefix + name, tensor=tensor)
            for name, tensor in module._parameters.items()
            if tensor is not None
        )
        children = [self._node(child, prefix + name) for name, child in module._modules.items() if child is not None]
        if children:
            # Beside child modules a bare parameter (image_newline, class_embedding) is a place of its own.
            children = [self._bare(parameter) for parameter in own] + children
        counted = [p for p in own if not p.is_alias]
        own_params, own_bytes = sum(p.params for p in counted), sum(p.nbytes for p in counted)
        below = [child for child in children if child.kind == "module"]
        adaptable, shape = _adaptable(module)
        kinds = {type(child) for child in module._modules.values()}
        return Node(
            path=path,
            class_name=type(module).__name__,
            kind="module",
            component=self._component(path, own, children),
            parameters=own,
            own_params=own_params,
            total_params=own_params + sum(child.total_params for child in below),
            own_bytes=own_bytes,
            total_bytes=own_bytes + sum(child.total_bytes for child in below),
            children=tuple(children),
            adaptable=adaptable,
            lora_shape=shape,
            is_list=isinstance(module, nn.ModuleList | nn.Sequential) and len(kinds) == 1 and len(module._modules) > 1,
        )

    def _bare(self, parameter: Parameter) -> Node:
        counted = 0 if parameter.is_alias else parameter.params
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
        )

    def _parameter(self, name: str, tensor: torch.Tensor) -> Parameter:
        shape = _logical_shape(tensor)
        parameter = Parameter(
            name=name,
            shape=shape,
            dtype=str(tensor.dtype).removeprefix("torch."),
            params=torch.Size(shape).numel(),
            nbytes=tensor.numel() * tensor.element_size(),
            # By identity, never data_ptr: on meta every pointer is 0, and a view shares memory without being the tensor.
            owner=self.first_name.setdefault(id(tensor), name),
            component=owner_of(name, self.owned) or "other",
        )
        self.parameters.append(parameter)
        return parameter

    def _component(self, path: str, own: tuple[Parameter, ...], children: list[Node]) -> str | None:
        names = {p.component for p in own} | {child.component for child in children}
        if not names:
            return owner_of(path, self.owned)
        return names.pop() if len(names) == 1 else owner_of(path, self.owned) if path else None


def _logical_shape(tensor: torch.Tensor) -> tuple[int, ...]:
    """bitsandbytes packs two 4-bit weights per byte and keeps the real shape in ``quant_state``."""
    state = getattr(tensor, "quant_state", None)
    shape = getattr(state, "shape", None)
    return tuple(shape if shape is not None else tensor.shape)


def _adaptable(module: nn.Module) -> tuple[str, tuple[int, int] | None]:
    """How PEFT's LoRA can adapt a module, and the (in, out) of the adapter."""
    name = type(module).__name__
    if name == "NonDynamicallyQuantizableLinear":  # nn.MultiheadAttention.out_proj: its forward is never called
        return "", None
    if isinstance(module, nn.Linear):
        return "linear", (module.in_features, module.out_features)
    if name == "Conv1D" and hasattr(module, "weight"):  # GPT-2's: weight is (in, out)
        return "linear", (module.weight.shape[0], module.weight.shape[1])
    if isinstance(module, nn.Embedding):
        return "embedding", (module.num_embeddings, module.embedding_dim)
    if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d) and module.groups == 1:
        return "conv", (module.in_channels * torch.Size(module.kernel_size).numel(), module.out_channels)
    return "", None


def _title_of(model: nn.Module) -> str:
    name = str(getattr(getattr(model, "config", None), "_name_or_path", "") or "")
    return name.rstrip("/").rpartition("/")[2] or type(model).__name__
