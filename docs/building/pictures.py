"""Makes the pictures of the documentation from the real page, light and dark: a browser on a real session, its comm played.

    python docs/building/pictures.py            # all of them
    python docs/building/pictures.py --stale    # only where the page has changed since; says so where there is no Chromium

Needs the development set and Chromium (the CHROMIUM variable, or on the PATH).
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "docs" / "pictures"
MADE = PICTURES / "made.json"
STATIC = ROOT / "vlmfreeze_widgets" / "static"
THEMES = ("light", "dark")
SCALE = 1.5
COLOURS = 96
BIG = "Qwen/Qwen2.5-VL-7B-Instruct"


def page_hash() -> str:
    """What the pictures show: the built page, and this file."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for path in sorted(STATIC.iterdir()):
        if path.suffix in {".js", ".css"}:
            digest.update(path.read_bytes())
    return digest.hexdigest()


def is_fresh() -> bool:
    """Whether the pictures are of the page as it is built now."""
    return MADE.is_file() and json.loads(MADE.read_text(encoding="utf-8"))["page"] == page_hash()


def smaller(png: bytes) -> bytes:
    """The same picture with a palette: what is frequent keeps its colour exactly, what is rare (a red circle) nearly."""
    import numpy as np
    from PIL import Image

    picture = Image.open(io.BytesIO(png)).convert("RGB")
    pixels = np.asarray(picture).reshape(-1, 3).astype(np.int32) @ np.array([65536, 256, 1], dtype=np.int32)
    packed, place, count = np.unique(pixels, return_inverse=True, return_counts=True)
    colours = np.stack([packed >> 16, packed >> 8 & 255, packed & 255], axis=1)
    often = colours[np.argsort(-count)[: COLOURS // 2]]
    wide = picture.quantize(COLOURS // 2, method=Image.Quantize.MAXCOVERAGE, kmeans=4, dither=Image.Dither.NONE)
    rare = np.array(wide.getpalette()[: 3 * (COLOURS // 2)], dtype=np.uint8).reshape(-1, 3)
    palette = np.concatenate([often, rare.astype(often.dtype)])
    # Pillow's own search for the nearest colour is a rough one.
    nearest = np.abs(colours[:, None] - palette[None]).sum(axis=2).argmin(axis=1)
    small = Image.frombytes("P", picture.size, nearest[place.reshape(-1)].astype(np.uint8).tobytes())
    small.putpalette(palette.astype(np.uint8).tobytes())
    out = io.BytesIO()
    small.save(out, "PNG", optimize=True)
    return out.getvalue()


class Photographer:
    """Takes a part of a page in both themes."""

    def __init__(self, browser: Any) -> None:  # playwright's
        self.browser = browser

    @contextmanager
    def page(self, width: int = 1100, height: int = 1400) -> Iterator[Any]:
        """A new page."""
        page = self.browser.new_page(viewport={"width": width + 30, "height": height}, device_scale_factor=SCALE)
        yield page
        page.close()

    def take(self, page: Any, name: str, selector: str = ".vf") -> None:  # playwright's
        """Writes <name>-light.png and <name>-dark.png."""
        for theme in THEMES:
            page.evaluate("(theme) => model.set('options', {...model.get('options'), theme})", theme)
            page.mouse.move(2, 2)
            page.wait_for_timeout(400)
            self.write(f"{name}-{theme}", page.locator(selector).first.screenshot())

    def write(self, name: str, png: bytes) -> None:
        """One file."""
        path = PICTURES / f"{name}.png"
        path.write_bytes(smaller(png))
        print(f"pictures: {path.relative_to(ROOT)}, {path.stat().st_size / 1000:.0f} kB", flush=True)


def workbench(photo: Photographer) -> None:
    """The whole page in the middle of a burst; then, after its end, the cards of burst, probe and handing over."""
    import vlmfreeze_widgets as vf
    from tests.browser.played import Played

    demo = vf.demo()
    strategy = vf.Strategy(
        {"vision_tower": "frozen", "projector": "full", "language_model": vf.Lora(rank=16)},
        lr={"projector": 1e-3, "language_model": 2e-4},
    )
    bench = vf.Workbench(
        demo.model, demo.batches, strategy, eval_batches=demo.eval_batches, questions=demo.questions,
        retention_batches=demo.text_batches, processor=demo.processor, steps=60, height=400,
    )  # fmt: skip
    with photo.page() as page:
        played = Played(page, bench, width=1100)
        estimated = "!document.body.innerText.includes('estimating') && model.get('cost_state').number !== undefined"
        played.until(estimated, 120)
        bench.run(60)
        played.until("document.body.innerText.includes('wanted')")
        while len(bench.history) < 34:
            page.wait_for_timeout(10)
            played.carry()
        bench.session.pause()
        played.phase("paused")
        photo.take(page, "workbench")
        bench.session.resume()
        played.phase("deciding")
        played.until("document.body.innerText.includes('frozen tensors changed')")
        photo.take(page, "burst", ".vf-burst")
        bench.discard()
        played.phase("idle")
        bench.probe()
        bench.wait(60)
        played.until("document.querySelector('.vf-probe')?.getBoundingClientRect().height > 60")
        photo.take(page, "probe", ".vf-probe")
        page.get_by_role("button", name="Export").first.click()
        played.until("document.querySelector('.vf-handover').getBoundingClientRect().height > 200")
        photo.take(page, "handover", ".vf-handover")
    bench.close()


def compared(photo: Photographer) -> None:
    """Four strategies on the board, and a published recipe that was run."""
    import vlmfreeze_widgets as vf
    from tests.browser.played import Played

    demo = vf.demo()
    projector, adapters = {"projector": "full"}, {"language_model": vf.Lora(rank=8)}
    bench = vf.Workbench(
        demo.model, demo.batches, vf.Strategy(projector, 2e-3), eval_batches=[demo.eval_batches[0]], steps=12
    )
    bench.add_contender("projector")
    bench.add_contender("projector + LoRA", vf.Strategy({**projector, **adapters}, {"projector": 2e-3, "": 2e-4}))
    bench.add_contender("LoRA alone", vf.Strategy(adapters, 2e-4))
    bench.add_contender("head", vf.Strategy({"head": "full"}, 1e-3))
    with photo.page() as page:
        played = Played(page, bench, width=1100)
        bench.compare(steps=12, seeds=3)
        played.until("model.get('compare_state').status === 'over'", 300)
        photo.take(page, "compare", ".vf-compare")
        bench.stages = "llava-1.5"
        bench.run_stages()
        bench.wait(300)
        played.until("model.get('stages_state').chosen.stages.every((s) => s.status === 'done')", 300)
        photo.take(page, "stages", ".vf-stagescard")
        bench.discard_stages()
        bench.wait(60)
    bench.close()


def plan_without_weights(photo: Photographer) -> None:
    """Controls and cost of a model of 8 billion parameters, of which only the config is here."""
    import vlmfreeze_widgets as vf
    from tests.browser.played import Played

    strategy = vf.Strategy({"projector": "full", "language_model": vf.Lora(rank=16)}, lr=1e-4)
    bench = vf.Workbench(BIG, strategy=strategy)
    with photo.page() as page:
        played = Played(page, bench, width=1100)
        played.until("!document.body.innerText.includes('estimating') && model.get('cost_state').number > 1", 180)
        photo.take(page, "controls", ".vf-controls")
        photo.take(page, "cost", ".vf-cost")
    bench.close()


def freeze_map(photo: Photographer) -> None:
    """The map alone."""
    import vlmfreeze_widgets as vf
    from tests.browser.answered import show

    shown = vf.FreezeMap(BIG, vf.Strategy({"projector": "full", "language_model": vf.Lora(rank=16)}, lr=1e-4))
    with photo.page() as page:
        show(page, shown, "freezemap", width=1000)
        photo.take(page, "freeze-map")
    shown.close()


def burst_monitor(photo: Photographer) -> None:
    """The live plots alone."""
    import vlmfreeze_widgets as vf
    from tests.browser.mount import mount
    from tests.browser.played import encoded

    demo = vf.demo()
    result = vf.Burst(
        demo.model, {"projector": "full"}, demo.batches, steps=40, lr=2e-3, eval_batches=demo.eval_batches
    ).run()
    monitor = vf.BurstMonitor(result)
    sent: list[tuple[dict[str, Any], list[bytes]]] = []
    monitor._feed._send = lambda message, buffers: sent.append((message, buffers))
    with photo.page() as page:
        state = {name: encoded(getattr(monitor, name)) for name in ("tree_state", "plan_state", "run_state", "options")
                 if hasattr(monitor, name)}  # fmt: skip
        mount(page, "monitor", state, width=1000)
        with monitor._outbox.lock:
            monitor._feed.rewind(1, 0)
            monitor._flush()
        for message, buffers in sent:
            page.evaluate("([m, b]) => model.message(m, b)", [message, encoded(buffers[0])["base64"]])
        photo.take(page, "burst-monitor")
    monitor.close()


ALL: tuple[Callable[[Photographer], None], ...] = (workbench, plan_without_weights, freeze_map, burst_monitor, compared)


def main() -> int:
    """Makes the pictures; the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--stale", action="store_true", help="nothing where they are fresh or there is no Chromium")
    parser.add_argument("only", nargs="*", help="names of functions of this file")
    args = parser.parse_args()
    if args.stale and is_fresh():
        return 0
    browser = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    if browser is None:
        print("pictures: the page has changed since they were made, and there is no Chromium to make them anew.")
        return 0 if args.stale else 1
    os.environ.update(CHROMIUM=browser, HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1")
    sys.path.insert(0, str(ROOT))
    import torch
    from playwright.sync_api import sync_playwright

    from tests.browser.lab import FLAGS

    torch.set_num_threads(1)
    PICTURES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=browser, args=FLAGS)
        for take in ALL:
            if not args.only or take.__name__ in args.only:
                take(Photographer(launched))
        launched.close()
    if not args.only:
        MADE.write_text(json.dumps({"page": page_hash()}, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
