"""Imports point down: which layer may name which, read from the syntax trees. The package is not imported for it."""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "vlmfreeze_widgets"
FOLDERS = {".".join(path.parent.relative_to(ROOT).parts) for path in PACKAGE.rglob("__init__.py")} - {PACKAGE.name}
JUPYTER = {"IPython", "anywidget", "ipykernel", "ipywidgets", "traitlets"}
TRAINING = {"accelerate", "peft", "torch", "transformers"}


class Room(NamedTuple):
    """What one layer may import besides itself and the standard library."""

    layers: frozenset[str] | set[str] = frozenset()
    libraries: frozenset[str] | set[str] = frozenset()


# The layers from the bottom up. A module beside the folders (pictures.py) is a layer of its own.
# safetensors goes where torch goes: it is how tensors are written to files. Adapters may ask whether torchvision works.
LAYERS = {
    "core": Room(),
    "engine": Room({"core"}, {"torch"}),
    "adapters": Room({"core", "engine"}, {"torch", "torchvision", "safetensors"}),  # and one more per file
    "trainers": Room({"core", "adapters"}),
    "data": Room({"core", "engine", "adapters"}, {"torch", "PIL", "numpy"}),
    "demo": Room({"core", "engine", "adapters", "data"}, {"torch", "transformers", "tokenizers", "PIL", "numpy"}),
    "session": Room({"core", "engine"}, {"torch"}),
    "launch": Room({"core", "engine", "adapters"}, {"torch", "safetensors"}),
    "pictures": Room({"core"}),
    "figures": Room({"core"}, {"plotly"}),
    "report": Room({"core", "pictures", "figures"}, {"plotly", "jinja2"}),
    "widgets": Room({"core", "session", "pictures", "figures", "report"}, JUPYTER | {"plotly", "numpy"}),
}
# What a file imports from above all the same, and only when a function that needs it runs: a library behind a convenience of a
# value, adapters for the engine. Each is a real import, which an editor follows and mypy reads.
UPWARD = {
    "core/comparison/board.py": {"adapters.pandas_frames", "adapters.rich_tables", "figures"},
    "core/history/history.py": {"adapters.pandas_frames", "figures"},
    "core/recipes/stages.py": {"adapters.yaml_text"},
    "core/strategy/resolve.py": {"engine.model.read"},
    "core/strategy/strategy.py": {"adapters.yaml_text"},
    "core/text_files.py": {"adapters.yaml_text"},
    "core/tree/catalog.py": {"adapters.pandas_frames"},
    "core/tree/tree.py": {"adapters.pandas_frames", "pictures"},
    "engine/apply/apply.py": {"adapters.peft_lora"},
    "engine/burst/checkpoint.py": {"adapters.safetensors_files"},
    "engine/burst/result.py": {
        "adapters.peft_files",
        "adapters.peft_merge",
        "adapters.safetensors_files",
        "adapters.transformers_adapters",
    },
    "engine/cost/estimate.py": {"adapters.transformers_models"},
    "engine/cost/fake_model.py": {"adapters.peft_lora"},
    "engine/model/read.py": {"adapters.transformers_models"},
    "engine/runs/load.py": {"adapters.pandas_frames"},
    "engine/runs/trackers.py": {"adapters.tensorboard_runs", "adapters.trackio_runs", "adapters.wandb_runs"},
    "engine/step/optimizer.py": {"adapters.bitsandbytes_optimizers", "adapters.transformers_schedules"},
    "launch/recipe.py": {"demo.bundle"},
    "report/content.py": {"engine.runs.load"},
    "session/cost_server.py": {"adapters.transformers_copies", "adapters.transformers_models"},
    "session/handover.py": {"trainers.previews"},
    "session/loading.py": {"adapters.transformers_weights"},
    "session/probing.py": {"data.load"},
    "trainers/registry.py": {"engine.model.read"},
    "widgets/lifetime.py": {"adapters.marimo_host"},
    "widgets/monitor.py": {"adapters.marimo_host"},
    "widgets/page.py": {"adapters.marimo_host"},
    "widgets/page_states.py": {"adapters.pillow_thumbnails"},
}
TOP = {"__init__", "__main__", "cli"}  # may name every layer
# The folders of the two large layers, floor by floor from the bottom up: each may import what stands on a lower floor, in whatever
# way (also late, also for types alone). "" is the files beside the folders, of which there are no others than these.
FLOORS = {
    "core": (
        {""},
        {"language"},
        {"tree"},
        {"strategy"},
        {"recipes", "cost", "history", "evidence", "comparison"},
        {"wire"},
    ),
    "engine": (
        {"", "tensors", "model", "failures"},
        {"batches", "apply", "runs"},
        {"step", "evidence"},
        {"burst", "cost"},
        {"probe", "comparison", "stages"},
    ),
}
BESIDE_THE_FOLDERS = {
    "core": {
        "errors", "numbers", "plain", "memory_advice", "data_origin", "atomic_files", "strict_json", "source_length",
        "construction_lock", "former_names", "arguments", "shorten", "text_files",
    },
    "engine": {"settings", "accepted"},
}  # fmt: skip


def layer_of(path: Path, package: Path) -> str:
    first = path.relative_to(package).parts[0]
    return first.removesuffix(".py")


def imported(source: str, inside: tuple[str, ...]) -> set[str]:
    """The absolute names of all modules that a source names in an import, wherever in it; ``inside`` is its package."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = inside[: len(inside) - node.level + 1] if node.level else ()
            module = ".".join([*start, *([node.module] if node.module else [])])
            # "from . import x" and "from ..folder import x" name the module x, not only the folder.
            of_folder = not node.module or module in FOLDERS
            names |= {f"{module}.{alias.name}" for alias in node.names} if of_folder else {module}
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in {"import_module", "__import__"}:
                names.add(str(node.args[0].value))
    return names


def at_once(source: str) -> str:
    """The source without the bodies of its functions: what runs when it is imported, and what types are read from."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [ast.Pass()]
    return ast.unparse(tree)


def is_upward(name: str, path: Path, package: Path, inside: tuple[str, ...]) -> bool:
    """Whether an import from above is one of the table, and stands in a function."""
    module = name.removeprefix(f"{package.name}.")
    listed = UPWARD.get(str(path.relative_to(package)), set())
    is_listed = bool(listed & {module, module.rpartition(".")[0]})
    return is_listed and name not in imported(at_once(path.read_text(encoding="utf-8")), inside)


def complaints(path: Path, package: Path = PACKAGE) -> list[str]:
    """What a file imports that its layer may not."""
    layer = layer_of(path, package)
    if layer in TOP:
        return []
    if layer not in LAYERS:
        return [f"{path.name}: no layer '{layer}' in the table of this test"]
    room = LAYERS[layer]
    inside = (package.name, *path.relative_to(package).parts[:-1])
    found, outside = [], set()
    for name in sorted(imported(path.read_text(encoding="utf-8"), inside)):
        top, *rest = name.split(".")
        if top == package.name:
            target = rest[0] if rest else "__init__"
            if target not in {layer, "__version__", *room.layers} and not is_upward(name, path, package, inside):
                found.append(f"{layer}/{path.name} imports {name}: {layer} may name only {sorted(room.layers)}")
        elif top not in sys.stdlib_module_names and top not in room.libraries:
            outside.add(top)
    if layer == "adapters" and len(outside) == 1:
        return found
    return found + [f"{layer}/{path.name} imports {name}" for name in sorted(outside)]


def floor_of(layer: str, folder: str) -> int:
    return next(i for i, floor in enumerate(FLOORS[layer]) if folder in floor)


def upward(path: Path, package: Path = PACKAGE) -> list[str]:
    """What a file of a large layer imports from a floor that is not below its own."""
    layer, *rest = path.relative_to(package).with_suffix("").parts
    if layer not in FLOORS or rest == ["__init__"]:
        return []
    if len(rest) == 1 and rest[0] not in BESIDE_THE_FOLDERS[layer]:
        return [f"{layer}/{rest[0]}.py lies beside the folders: {layer} has {sorted(folders_of(layer))}"]
    folder = rest[0] if len(rest) > 1 else ""
    if folder not in folders_of(layer):
        return [f"no folder '{folder}' in the table of this test"]
    inside = (package.name, *path.relative_to(package).parts[:-1])
    found = []
    for name in sorted(imported(path.read_text(encoding="utf-8"), inside)):
        top, *below = name.split(".")
        if top != package.name or len(below) < 2 or below[0] != layer:
            continue
        target = below[1] if below[1] in folders_of(layer) else ""
        if target != folder and floor_of(layer, target) >= floor_of(layer, folder):
            found.append(f"{layer}/{folder}/{path.name} imports {name}: {target} is not below {folder}")
    return found


def folders_of(layer: str) -> set[str]:
    return set().union(*FLOORS[layer])


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """The groups of files that import one another, round about."""
    try:
        tuple(TopologicalSorter(edges).static_order())
    except CycleError as error:
        return [error.args[1]]
    return []


def imports_at_run_time(package: Path = PACKAGE) -> dict[str, set[str]]:
    """File -> files that it imports, late ones included; what stands under ``if TYPE_CHECKING`` never runs."""
    files = {".".join(p.relative_to(package.parent).with_suffix("").parts): p for p in package.rglob("*.py")}
    edges = {}
    for name, path in files.items():
        inside = tuple(name.split(".")[:-1])
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
                node.body = [ast.Pass()]
        above = {f"{package.name}.{module}" for module in UPWARD.get(str(path.relative_to(package)), ())}
        edges[name] = imported(ast.unparse(tree), inside) & set(files) - {name} - above
    return edges


SOURCES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize(
    "path", [p for p in SOURCES if layer_of(p, PACKAGE) in FLOORS], ids=lambda p: str(p.relative_to(PACKAGE))
)
def test_a_file_of_a_large_layer_imports_only_from_lower_floors(path):
    assert upward(path) == []


def test_no_files_import_one_another_in_a_circle():
    assert circles(imports_at_run_time()) == []


def test_every_folder_says_its_rule_in_its_docstring_and_its_tests_lie_in_a_folder_of_the_same_name():
    for layer, floors in FLOORS.items():
        for folder in set().union(*floors) - {""}:
            rule = ast.get_docstring(ast.parse((PACKAGE / layer / folder / "__init__.py").read_text(encoding="utf-8")))
            assert rule and len(rule.split()) > 4, folder
        here = {p.name for p in (PACKAGE / layer).iterdir() if p.is_dir() and p.name != "__pycache__"}
        assert here == folders_of(layer) - {""}
        tests = {p.name for p in (ROOT / "tests" / layer).iterdir() if p.is_dir() and p.name != "__pycache__"}
        assert tests <= here


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_file_imports_only_what_lies_below_it(path):
    assert complaints(path) == []


def test_what_is_imported_from_above_is_really_imported_so():
    for place, modules in UPWARD.items():
        path = PACKAGE / place
        inside = (PACKAGE.name, *path.relative_to(PACKAGE).parts[:-1])
        found = imported(path.read_text(encoding="utf-8"), inside)
        assert {f"{PACKAGE.name}.{module}" for module in modules} <= found | {n.rpartition(".")[0] for n in found}, (
            place
        )


@pytest.mark.parametrize(
    "line", ["from ..figures import board_figure", "if TYPE_CHECKING:\n    from ..figures import board_figure"]
)
def test_an_import_from_above_that_runs_at_once_is_found(tmp_path, monkeypatch, line):
    path = tmp_path / "vlmfreeze_widgets" / "core" / "errors.py"
    path.parent.mkdir(parents=True)
    monkeypatch.setitem(UPWARD, "core/errors.py", {"figures"})
    path.write_text(f"{line}\n")
    assert complaints(path, tmp_path / "vlmfreeze_widgets")
    path.write_text("def f():\n    from ..figures import board_figure\n")
    assert not complaints(path, tmp_path / "vlmfreeze_widgets")


def test_the_table_itself_points_down():
    order = list(LAYERS)
    for layer, room in LAYERS.items():
        assert all(order.index(below) < order.index(layer) for below in room.layers), layer


def test_the_widgets_never_name_a_training_library_and_the_session_never_names_jupyter():
    for folder, banned in (("widgets", TRAINING), ("session", JUPYTER), ("core", TRAINING | JUPYTER)):
        where = PACKAGE / folder
        for path in [where] if where.is_file() else where.rglob("*.py"):
            nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            used = {node.id for node in nodes if isinstance(node, ast.Name)}
            assert not used & banned, path


@pytest.mark.parametrize(
    ("place", "line", "says"),
    [
        ("core/errors.py", "import torch", "core/errors.py imports torch"),
        ("core/errors.py", "from ..engine.read import read_tree", "core may name only []"),
        ("core/errors.py", "from .. import session", "core may name only []"),
        ("core/errors.py", "def f():\n    from ruamel.yaml import YAML", "imports ruamel"),
        ("core/errors.py", "import_module('torch.nn')", "imports torch"),
        ("engine/burst/burst.py", "from transformers import Trainer", "imports transformers"),
        ("engine/burst/burst.py", "from vlmfreeze_widgets.session import Session", "engine may name only ['core']"),
        ("adapters/two.py", "import peft\nimport transformers", "imports peft"),
        ("session/session.py", "import ipywidgets", "imports ipywidgets"),
        ("widgets/page.py", "if TYPE_CHECKING:\n    import torch", "imports torch"),
        ("widgets/page.py", "from ..engine.burst import Burst", "widgets may name only"),
        ("stuff/thing.py", "", "no layer 'stuff'"),
    ],
)
def test_a_file_that_reaches_up_is_found(tmp_path, place, line, says):
    path = tmp_path / "vlmfreeze_widgets" / place
    path.parent.mkdir(parents=True)
    path.write_text(line + "\n")
    assert any(says in complaint for complaint in complaints(path, tmp_path / "vlmfreeze_widgets"))


@pytest.mark.parametrize(
    ("place", "line", "says"),
    [
        ("core/tree/tree.py", "from ..strategy.plan import Plan", "strategy is not below tree"),
        ("core/tree/tree.py", "if TYPE_CHECKING:\n    from ..wire import messages", "wire is not below tree"),
        ("core/errors.py", "def f():\n    from .tree.tree import ModuleTree", "tree is not below"),
        ("core/cost/estimate.py", "from ..history import norms", "history is not below cost"),
        ("engine/step/loss.py", "from ..burst.burst import Burst", "burst is not below step"),
        ("engine/tensors/norms.py", "from ..model.read import read_tree", "model is not below tensors"),
        ("core/tree_text.py", "", "lies beside the folders"),
        ("engine/stuff/x.py", "", "no folder 'stuff'"),
    ],
)
def test_a_file_that_reaches_a_higher_floor_is_found(tmp_path, place, line, says):
    path = tmp_path / "vlmfreeze_widgets" / place
    path.parent.mkdir(parents=True)
    path.write_text(line + "\n")
    assert any(says in complaint for complaint in upward(path, tmp_path / "vlmfreeze_widgets"))


def test_a_circle_of_files_is_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}})
    assert not circles({"a": {"b", "c"}, "b": {"c"}, "c": set()})


def test_importing_the_package_loads_neither_torch_nor_jupyter():
    program = "import sys, vlmfreeze_widgets; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert not set(done.stdout.split()) & (TRAINING | JUPYTER | {"plotly", "numpy", "pandas"})
