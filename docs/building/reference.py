"""The reference: which public names stand on which page, in which order. The words are the docstrings' own."""

from __future__ import annotations

import inspect

import vlmfreeze_widgets as vf

# Page -> public names; then what they return or take, by module and name.
GROUPS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "tree": (
        ("read_tree", "ModuleTree", "COMPONENTS", "catalog"),
        ("core.tree.node.Node", "core.tree.catalog.Catalog", "core.tree.catalog.CatalogEntry"),
    ),
    "strategy": (
        ("Strategy", "FROZEN", "FULL", "Lora", "presets", "preset", "published", "Stage", "Stages"),
        ("core.recipes.presets.Preset",),
    ),
    "plan": (
        ("resolve", "Plan", "apply", "AppliedModel"),
        ("core.strategy.plan.PlanWarning", "core.strategy.plan.Group"),
    ),
    "cost": (
        ("estimate_cost", "CostEstimate", "largest_batch", "cost_switches", "find_batch_size"),
        (
            "core.cost.estimate.Moment",
            "core.cost.estimate.Flops",
            "core.cost.sharding.Shard",
            "core.cost.view.SwitchEffect",
            "engine.probe.batch_size.BatchSize",
        ),
    ),
    "burst": (
        ("Burst", "BurstSettings", "BurstResult", "History", "Question", "probe"),
        (
            "core.history.history.StepRecord",
            "core.evidence.verdict.Verdict",
            "core.evidence.freeze_proof.Proof",
            "core.evidence.probe_report.ProbeReport",
            "core.evidence.probe_report.Finding",
        ),
    ),
    "compare": (
        ("compare", "Comparison", "Board", "ablation", "Ablation", "run_stages"),
        ("core.comparison.paired_difference.Difference", "engine.stages.run_stages.StagesResult"),
    ),
    "runs": (("runs", "list_runs", "load_run", "Run", "report", "write_recipe", "Recipe", "follow"), ()),
    "data": (("load_batches", "load_processor", "demo"), ("data.any_batches.Batches", "demo.bundle.Demo")),
    "hand_over": (
        ("export", "import_strategy"),
        ("trainers.selection.Exported", "trainers.selection.Imported"),
    ),
    "widgets": (
        ("Workbench", "FreezeMap", "BurstMonitor", "Figure", "Session"),
        (
            "session.strategy_editor.StrategyEditor",
            "session.loading.Loading",
            "session.probing.Probing",
            "session.burst_runner.BurstRunner",
            "session.burst_decision.BurstDecision",
            "session.checkpoints.Checkpoints",
            "session.run_browser.RunBrowser",
            "session.stage_list.StageList",
            "session.stage_runner.StageRunner",
            "session.stages_decision.StagesDecision",
            "session.contenders.Contenders",
            "session.comparison_runner.ComparisonRunner",
        ),
    ),
    "errors": (("VlmFreezeError",), ()),
}

# What these can do is spread over classes that they have in common.
SHARED = {"vf.Workbench", "vf.FreezeMap", "vf.BurstMonitor"}
# What stands above the classes beside the public ones.
BESIDE = {"errors": "## Each kind\n", "widgets": "## The parts of a session\n"}


def reference(page: str) -> str:
    """The directives of one page; its text is made by mkdocstrings."""
    public, beside = GROUPS[page]
    parts = [_directive(f"vlmfreeze_widgets.{vf._PUBLIC[name]}.{name}", f"vf.{name}") for name in public]
    if page == "errors":
        beside = tuple(f"core.errors.{name}" for name in _errors())
    if beside:
        parts.append(BESIDE.get(page, "## What they give\n"))
        parts += [_directive(f"vlmfreeze_widgets.{path}", path.rpartition(".")[2], 3) for path in beside]
    return "\n".join(parts)


def _directive(path: str, title: str, level: int = 2) -> str:
    options = [f"heading: {title}", f"toc_label: {title}", f"heading_level: {level}"]
    if title in SHARED:
        options.append("inherited_members: true")
    return "\n".join([f"::: {path}", "    options:", *(f"      {option}" for option in options), ""])


def _errors() -> list[str]:
    from vlmfreeze_widgets.core import errors

    return [
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, vf.VlmFreezeError) and value is not vf.VlmFreezeError
    ]
