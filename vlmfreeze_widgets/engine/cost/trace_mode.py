"""Runs a model's own code without its numbers: large tensors are fake, small integers of the batch are real.

Many models ask their inputs for values: how many windows a picture has, whether a mask hides anything, where the image tokens
are. Those come from integer tensors, so these stay real; whatever meets a fake tensor becomes fake. What the operations
leave alive is counted by ``engine.cost.ledger``.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import conv_flop_count, flop_registry

from ...core.cost.roofline import Work
from .ledger import Ledger
from .shape_cache import Shapes

_aten = torch.ops.aten
_CPU = torch.device("cpu")
_REAL_LIMIT = 1 << 24  # elements of a tensor whose values are kept
_INDEXING = {_aten.index.Tensor, _aten.index_put.default, _aten.index_put_.default, _aten._index_put_impl_.default}
# torch's counter does not know the CPU's fused attention; it is called like the GPU's.
_LIKE = {
    _aten._scaled_dot_product_flash_attention_for_cpu: _aten._scaled_dot_product_flash_attention,
}


class TraceMode(TorchDispatchMode):
    """Sees every operation of a traced step.

    Args:
        fakes: Whose tensors the model's are.
        ledger: Counts what is alive.
        real: Leave every tensor as it is, to measure a real run with the same eyes.
        on_gpu: Count what a GPU's kernels keep.

    Attributes:
        path: Of the module that runs now; hooks keep it.
        flops: (phase, module path) -> floating point operations.
        work: Operation -> how often it was called; views are none.
        phase: "forward" or "backward".
        operations: Calls seen.
    """

    def __init__(self, fakes: FakeTensorMode, ledger: Ledger, real: bool = False, on_gpu: bool = False) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.fakes = fakes
        self.ledger = ledger
        self.real = real
        self.shapes = Shapes(fakes, on_gpu=on_gpu)
        self.stack: list[str] = [""]
        self.flops: Counter[tuple[str, str]] = Counter()
        self.work: Counter[Work] = Counter()
        self.phase = "forward"
        self.operations = 0
        self._marks: list[int] = []
        self._marked: list[str] = []

    def begin(self) -> None:
        """Another micro-batch: what was counted of the one before is dropped, what is alive stays."""
        self.stack, self.phase, self.operations = [""], "forward", 0
        self.flops.clear()
        self.work.clear()
        self._marks.clear()
        self._marked.clear()
        self.ledger.begin()
        self.ledger.saved_by_module.clear()

    @property
    def path(self) -> str:
        """Of the module that runs now; in a backward pass, of the module whose operation is undone."""
        if len(self.stack) > 1 or self.phase == "forward":
            return self.stack[-1]
        node = torch._C._current_autograd_node()
        if node is None or not self._marks:
            return ""
        place = bisect_right(self._marks, node._sequence_nr()) - 1
        return self._marked[place] if place >= 0 else ""

    def enter(self, path: str) -> None:
        """A module's forward begins."""
        self.stack.append(path)
        self._mark()

    def leave(self) -> None:
        """It ends."""
        self.stack.pop()
        self._mark()

    def _mark(self) -> None:
        # Nodes are numbered in the order of the forward pass: the number tells which module made one.
        if self.phase == "forward":
            self._marks.append(torch._C._autograd._get_sequence_nr())
            self._marked.append(self.stack[-1])

    def __torch_dispatch__(
        self,
        func: Any,  # an operation
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is torch.ops.prim.device.default and isinstance(args[0], FakeTensor):
            return args[0].fake_device  # asked for at every turn: two calls of three
        kwargs = kwargs or {}
        output = func(*args, **kwargs) if self.real else self._run(func, types, args, kwargs)
        self.operations += 1
        moved = 0
        for tensor in _tensors(output):
            self.ledger.see(tensor)
            moved += tensor.numel() * tensor.element_size()
        if func.is_view:
            return output
        is_half = False
        for tensor in _tensors((args, tuple(kwargs.values()))):
            moved += tensor.numel() * tensor.element_size()
            is_half = is_half or (tensor.is_floating_point() and tensor.element_size() <= 2)
        packet = func._overloadpacket
        count = flop_registry.get(_LIKE.get(packet, packet))
        flops = 0
        if packet is _aten.convolution_backward:
            flops = _convolution_backward(args)
        elif count is not None:
            flops = int(count(*args, **kwargs, out_val=output))
        elif packet is _aten._scaled_dot_product_flash_attention_for_cpu_backward:
            flops = _attention_backward(args[1], args[2], args[3])
        if flops:
            self.flops[self.phase, self.path] += flops
        self.work[Work(self.phase, flops, moved, is_half)] += 1
        return output

    def _run(self, func: Any, types: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        tensors = list(_tensors((args, tuple(kwargs.values()))))
        if not any(isinstance(t, FakeTensor) for t in tensors):
            if _stays_real(func, tensors, args, kwargs):
                return func(*args, **{k: _CPU if k == "device" else v for k, v in kwargs.items()})
            if func._schema.is_mutable and tensors:
                raise UnknownValues(f"{func} changes a tensor of known values that is too large to keep")
        if func in _INDEXING:
            args = (args[0], [_places(i) for i in args[1]], *args[2:])
            args = (args[0], [j for i in args[1] for j in (i if isinstance(i, tuple) else (i,))], *args[2:])
        elif func._schema.is_mutable and isinstance(args[0], torch.Tensor) and not isinstance(args[0], FakeTensor):
            raise UnknownValues(f"{func} writes unknown values into a tensor of known ones")
        if not all(isinstance(t, FakeTensor) for t in tensors) or func in _INDEXING:
            args, kwargs = _map(self._fake, args), {k: _map(self._fake, v) for k, v in kwargs.items()}
        return self.shapes.run(func, types, args, kwargs)

    def _fake(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor if isinstance(tensor, FakeTensor) else self.fakes.from_tensor(tensor)


class UnknownValues(RuntimeError):
    """The model's code asks for a value that only real weights and pictures have."""


def _convolution_backward(args: Sequence[Any]) -> int:
    """Each of the two gradients takes the products of the forward pass, whatever the groups, strides and dilation.

    torch 2.13's own formula forgets the groups in the weight's gradient: ``groups`` times too many (pytorch#183405).
    """
    gradient, given, weight, transposed, wanted = args[0], args[1], args[2], args[7], args[10]
    once = conv_flop_count(list(given.shape), list(weight.shape), list(gradient.shape), transposed=transposed)
    return int(once) * (bool(wanted[0]) + bool(wanted[1]))


def _attention_backward(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> int:
    # Five products of the size of the forward's two: scores again, and the gradients of both products.
    b, heads, length, width = query.shape
    return 2 * b * heads * length * key.shape[-2] * (3 * width + 2 * value.shape[-1])


def _stays_real(func: Any, tensors: Sequence[torch.Tensor], args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    if not tensors:
        return _makes_values(func, args, kwargs)
    if any(t.numel() > _REAL_LIMIT for t in tensors):
        return False
    if len(tensors) == 1 or func.is_view:
        return True
    try:
        return torch.Size(torch.broadcast_shapes(*(t.shape for t in tensors))).numel() <= _REAL_LIMIT
    except RuntimeError:
        return True


def _makes_values(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether a tensor made of nothing is kept with its values: integers, and ranges of small numbers."""
    name = func._overloadpacket.__name__
    if name in ("arange", "linspace", "scalar_tensor", "lift_fresh"):
        return True
    dtype = kwargs.get("dtype")
    if dtype is None:
        fill = args[1] if name == "full" and len(args) > 1 else 0.0
        dtype = torch.bool if isinstance(fill, bool) else torch.int64 if isinstance(fill, int) else torch.float32
    size = args[0] if args and isinstance(args[0], list | tuple) else ()
    numel = torch.Size(size).numel()
    return numel <= _REAL_LIMIT and (not dtype.is_floating_point or numel <= 1)


def _places(index: Any) -> Any:  # one index of a subscript
    """A mask of known values as the positions that it selects: then the number of them is known too."""
    if (
        isinstance(index, torch.Tensor)
        and not isinstance(index, FakeTensor)
        and index.dtype in (torch.bool, torch.uint8)
    ):
        return tuple(index.nonzero(as_tuple=True))
    return index


def _tensors(value: Any) -> Iterator[torch.Tensor]:  # arguments or outputs
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)


def _map(change: Callable[[torch.Tensor], torch.Tensor], value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, list | tuple):
        return type(value)(_map(change, item) for item in value)
    return value
