"""The module tree as a value: nodes, components, folded blocks, selectors. It knows modules, not how they train."""
