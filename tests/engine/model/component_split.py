"""Support: what the tests of the component finder compare, expected and found, and plain modules for them. No tests here."""

from torch import nn

from vlmfreeze_widgets.core.tree.components import COMPONENTS, owner_of
from vlmfreeze_widgets.engine.model.components import find_components


def split(vision, projector, language, embeddings, head="lm_head", **further):
    """Expected components, each a string of paths; those without a path are absent."""
    named = dict(vision_tower=vision, projector=projector, language_model=language, embeddings=embeddings, head=head)
    return {name: set(paths.split()) for name, paths in (named | further).items() if paths}


def found(model):
    """What is found, as sets, after checking what must hold for any model."""
    components = find_components(model)
    assert list(components) == [c for c in COMPONENTS if c in components]
    owners = {path: component for component, paths in components.items() for path in paths}
    assert len(owners) == sum(map(len, components.values())), "a path stands in two components"
    names = [name for name, _ in model.named_parameters(remove_duplicate=False)]
    by_name = {name: owner_of(name, owners) for name in names}
    assert None not in by_name.values()
    assert set(by_name.values()) == set(components), "a component owns nothing"
    return {component: set(paths) for component, paths in components.items()}


def module(**children):
    """A plain module: values that are modules or parameters are registered, others are attributes."""
    made = nn.Module()
    for name, child in children.items():
        setattr(made, name, child)
    return made


def linear():
    """Anything with parameters."""
    return nn.Linear(2, 2)
