"""Support: a real JupyterLab on loopback, driven by a real Chromium, and a second client that reads Python values. No tests here.

All of Jupyter's state lives in a temporary folder; the browser can resolve nothing but loopback, so that a CDN would
fail as it does offline.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jupyter_client import BlockingKernelClient

from tests.waiting import PATIENCE

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND,EXCLUDE 127.0.0.1",
]
# What JupyterLab itself says on a machine without network or with a fresh profile.
NOT_OURS = ("favicon", "jupyterlab/api/news", "ERR_NAME_NOT_RESOLVED", "lsp", "404 (Not Found)")

CONNECTED = """() => {
  const session = window.jupyterapp.shell.currentWidget?.sessionContext?.session;
  return session?.kernel?.connectionStatus === "connected";
}"""
ALL_RUN = """() => {
  const cells = [...document.querySelectorAll(".jp-CodeCell .jp-InputPrompt")].map((p) => p.textContent.trim());
  return cells.length > 0 && cells.filter((t) => t !== "[ ]:").every((t) => /\\d/.test(t)) && cells.some((t) => /\\d/.test(t));
}"""


# As python -m jupyterlab; what checks addresses in schemas takes three seconds to import, and no file here has one.
WITHOUT_GRAMMARS = "import sys; sys.modules['rfc3987_syntax'] = None; from jupyterlab.labapp import main; main()"


def chromium() -> str:
    """The browser's path."""
    found = os.environ.get("CHROMIUM") or next(
        (p for name in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(name))), None
    )
    assert found, "Chromium is missing: apt-get install chromium, or set CHROMIUM."
    return found


class Lab:
    """A running JupyterLab server."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        home = folder / ".home"
        self.runtime = home / "runtime"
        env = {
            **os.environ,
            "VLMFREEZE_TOUR": "0",  # a first visit, again and again
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home / "config"),
            "JUPYTER_CONFIG_DIR": str(home / "jupyter"),
            "JUPYTER_DATA_DIR": str(home / "data"),
            "JUPYTER_RUNTIME_DIR": str(self.runtime),
            "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
            "IPYTHONDIR": str(home / "ipython"),
            "PYTHONPATH": str(Path(__file__).resolve().parents[2]),  # kernels import this checkout, wherever it lies
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
        }
        home.mkdir(parents=True)
        self.log = (folder / ".lab.log").open("w")
        self.server = subprocess.Popen(
            [
                sys.executable, "-c", WITHOUT_GRAMMARS, "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1",
                f"--ServerApp.port={self.port}", "--IdentityProvider.token=", f"--ServerApp.root_dir={folder}",
                "--LabApp.expose_app_in_browser=True", "--ServerApp.disable_check_xsrf=True", *options,
            ],
            env=env, stdout=self.log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self._wait()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _wait(self) -> None:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                urllib.request.urlopen(f"{self.url}/api/status", timeout=1).read()
                return
            except OSError:
                assert self.server.poll() is None, (self.folder / ".lab.log").read_text()
                time.sleep(0.2)
        raise AssertionError("JupyterLab did not start")

    def kernels(self) -> list[dict[str, Any]]:
        return json.loads(urllib.request.urlopen(f"{self.url}/api/kernels").read())

    def end_kernels(self) -> None:
        for kernel in self.kernels():
            request = urllib.request.Request(f"{self.url}/api/kernels/{kernel['id']}", method="DELETE")
            urllib.request.urlopen(request).read()

    def client(self) -> BlockingKernelClient:
        """A second client on the one kernel that runs."""
        (kernel,) = self.kernels()
        found = BlockingKernelClient(connection_file=str(self.runtime / f"kernel-{kernel['id']}.json"))
        found.load_connection_file()
        found.start_channels()
        return found

    def stop(self) -> None:
        self.end_kernels()
        self.server.terminate()
        self.server.wait(120)
        self.log.close()


class LabPage:
    """One notebook in one browser page."""

    def __init__(self, page: Any, lab: Lab) -> None:
        self.page = page
        self.lab = lab
        page.set_default_timeout(1000 * PATIENCE)
        self.errors: list[str] = []
        page.on("console", lambda m: self._note(m.text, m.location) if m.type == "error" else None)
        page.on("pageerror", lambda e: self._note(str(e), {}))
        self._client: BlockingKernelClient | None = None

    def _note(self, text: str, location: Any) -> None:
        if not any(known in text or known in str(location) for known in NOT_OURS):
            self.errors.append(text)

    def open(self, notebook: str) -> None:
        self.page.goto(f"{self.lab.url}/lab/tree/{notebook}?reset", wait_until="domcontentloaded")
        self.page.wait_for_function("() => window.jupyterapp !== undefined")
        self.page.wait_for_selector(".jp-Notebook .jp-Cell")

    def run_all(self, timeout: float = PATIENCE) -> None:
        self.page.wait_for_function(CONNECTED)
        self.page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")
        # A kernel that connects late takes the run and returns at once: every code cell must have its number.
        self.page.wait_for_function(ALL_RUN, timeout=timeout * 1000)

    def dark(self, on: bool = True) -> None:
        theme = "JupyterLab Dark" if on else "JupyterLab Light"
        self.page.evaluate("t => window.jupyterapp.commands.execute('apputils:change-theme', {theme: t})", theme)
        self.page.wait_for_timeout(800)

    def py(self, expression: str, timeout: float = PATIENCE) -> Any:
        """The value of an expression in the kernel (through repr of JSON), read by a second client, even while a cell runs not."""
        if self._client is None:
            self._client = self.lab.client()
        message = self._client.execute(
            "", silent=True, user_expressions={"x": f"__import__('json').dumps({expression})"}
        )
        while True:
            reply = self._client.get_shell_msg(timeout=timeout)
            if reply["parent_header"].get("msg_id") == message:
                break
        found = reply["content"]["user_expressions"]["x"]
        assert found["status"] == "ok", found
        return json.loads(eval(found["data"]["text/plain"]))  # a string literal from our own kernel

    def do(self, code: str, timeout: float = PATIENCE) -> None:
        """Runs a statement in the kernel, silently."""
        self.py(f"exec({code!r}, globals())", timeout)


@contextmanager
def running_lab(folder: Path, *options: str) -> Iterator[Lab]:
    """A JupyterLab for as long as the block."""
    lab = Lab(folder, *options)
    try:
        yield lab
    finally:
        lab.stop()
