"""Makes .venv ready for `lab` (a person's notebook), `dev` (the tests) or `docs`, and does nothing when it is.

Runs under the Python found on the machine, so it uses the standard library alone. What is installed comes from
requirements-dev.lock; Node and Chromium are the business of steps.py.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements-dev.lock"
DOCS = ROOT / "requirements-docs.txt"
OLDEST = (3, 11)


def say(text: str) -> None:
    """One line to the person, at once."""
    print(f"environment: {text}", flush=True)


def call(*command: object) -> None:
    """Run a command in the checkout; when it fails, so does everything."""
    code = subprocess.run([str(part) for part in command], cwd=ROOT, check=False).returncode
    if code:
        sys.exit(f"environment: failed with status {code}: {' '.join(map(str, command))}")


def as_root(*command: str) -> tuple[str, ...]:
    """The command, with sudo in front where one is not root already."""
    return command if os.geteuid() == 0 else ("sudo", *command)


def make_venv() -> None:
    """Create .venv; on a Debian Python without ensurepip, first install what Debian split off."""
    if (VENV / "bin" / "python").exists():
        return
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        if not shutil.which("apt-get"):
            sys.exit("environment: this Python has no venv module. Install it, or set PYTHON to another Python.")
        say("this Python has no venv module: installing python3-venv")
        call(*as_root("apt-get", "update"))
        call(*as_root("apt-get", "install", "-y", "--no-install-recommends", "python3-venv"))
    say(f"creating .venv with Python {sys.version.split()[0]}")
    call(sys.executable, "-m", "venv", VENV)


def wanted(profile: str) -> str:
    """A fingerprint of everything that decides what is installed."""
    digest = hashlib.sha256(profile.encode())
    for path in (LOCK, ROOT / "pyproject.toml", Path(__file__), *([DOCS] if profile == "docs" else [])):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def ready(profile: str) -> bool:
    """Whether .venv was made by this script, for this profile, from the present files."""
    stamp = VENV / f"vlmfreeze-{profile}.stamp"
    return stamp.is_file() and stamp.read_text() == wanted(profile)


def install(profile: str) -> None:
    """Install the pins, then the checkout itself (editable, without looking at its dependencies again)."""
    pip = (VENV / "bin" / "python", "-m", "pip", "install", "--disable-pip-version-check", "--quiet")
    if profile == "dev":
        say("installing requirements-dev.lock (the first time takes minutes: PyTorch is large)")
        call(*pip, "-r", LOCK)
        call(*pip, "--no-deps", "-e", ROOT)
    elif profile == "docs":
        say("installing requirements-docs.txt")
        call(*pip, "-c", LOCK, "-r", DOCS)
    else:
        say("installing the package and JupyterLab (the first time takes minutes: PyTorch is large)")
        call(*pip, "-c", LOCK, "-e", f"{ROOT}[lab]")


def main(profile: str) -> None:
    """Make .venv ready for ``lab``, ``dev`` or ``docs`` (which is ``dev`` and more)."""
    if sys.version_info < OLDEST:
        found = ".".join(map(str, sys.version_info[:3]))
        sys.exit(
            f"environment: vlmfreeze_widgets needs Python 3.11 or newer; {sys.executable} is {found}.\n"
            f"Name another one: make {'test' if profile == 'dev' else profile} PYTHON=python3.12"
        )
    if profile == "docs":
        main("dev")
    # The dev set contains the lab set.
    if ready(profile) or (profile == "lab" and ready("dev")):
        return
    start = time.monotonic()
    make_venv()
    install(profile)
    (VENV / f"vlmfreeze-{profile}.stamp").write_text(wanted(profile))
    say(f"ready after {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main(sys.argv[1])
