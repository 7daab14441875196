import { afterEach, describe, expect, test, vi } from "vitest";
import { readOptions } from "../src/base/host";
import { brightness, followTheme, hostTheme } from "../src/parts/theme";

afterEach(() => {
  for (const name of ["class", "data-jp-theme-light", "data-vscode-theme-kind", "style"])
    document.body.removeAttribute(name);
  vi.unstubAllGlobals();
});

describe("the host's theme", () => {
  test("is read from JupyterLab's mark", () => {
    document.body.dataset.jpThemeLight = "false";
    expect(hostTheme(document)).toBe("dark");
    document.body.dataset.jpThemeLight = "true";
    expect(hostTheme(document)).toBe("light");
  });

  test("is read from VS Code's classes and from the brightness of the background", () => {
    document.body.className = "vscode-dark";
    expect(hostTheme(document)).toBe("dark");
    document.body.className = "";
    document.body.style.setProperty("--jp-layout-color0", "#111");
    expect(hostTheme(document)).toBe("dark");
    document.body.style.setProperty("--jp-layout-color0", "white");
    expect(hostTheme(document)).toBe("light");
  });

  test("brightness knows the spellings of a colour", () => {
    expect(["#fff", "#000000", "rgb(255, 255, 255)", "rgba(0 0 0 / 50%)"].map(brightness)).toEqual([1, 0, 1, 0]);
    expect([brightness("white"), brightness(""), brightness("var(--x)")]).toEqual([null, null, null]);
  });
});

test("a page follows the host until the options name a theme", async () => {
  const root = document.createElement("div");
  const end = new AbortController();
  const options = readOptions({}, 1);
  let changes = 0;
  const update = followTheme(
    root,
    () => options,
    () => changes++,
    end.signal,
  );
  expect(root.dataset.theme).toBe("light");
  document.body.dataset.jpThemeLight = "false";
  await new Promise((done) => setTimeout(done, 5));
  expect(root.dataset.theme).toBe("dark");
  options.theme = "light";
  update();
  expect(root.dataset.theme).toBe("light");
  expect(changes).toBe(3);
  end.abort();
  document.body.dataset.jpThemeLight = "true";
});
