"""Where torch is not installed, what needs it says so in three parts, and the rest works."""

import subprocess
import sys

CODE = """
import sys
sys.modules["torch"] = None  # as if it were not installed

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")

del sys.modules["torch"]
sys.meta_path.insert(0, NoTorch())
import vlmfreeze_widgets as vf
print(len(vf.catalog()) > 60, vf.Strategy({"projector": "full"}).rules["projector"].kind)
for name in ("read_tree", "Burst", "Workbench", "estimate_cost"):
    try:
        getattr(vf, name)
    except vf.VlmFreezeError as error:
        print(name, type(error).__name__, error.expected, "|", error.remedy[:17])
"""


def test_what_needs_torch_says_so_and_the_rest_works():
    ended = subprocess.run([sys.executable, "-c", CODE], check=False, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert lines[0] == "True full"
    assert lines[1:] == [
        f"{name} MissingLibrary the package torch | pip install torch"
        for name in ("read_tree", "Burst", "Workbench", "estimate_cost")
    ]
