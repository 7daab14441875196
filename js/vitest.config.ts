import { defineConfig } from "vitest/config";

// Limits that end a test that hangs, and that no busy machine reaches.
// One jsdom for all files (isolate: false): making one for each took half of the time. What a file stubs it puts back.
export default defineConfig({
  test: {
    environment: "jsdom",
    include: ["test/**/*.test.ts"],
    testTimeout: 600_000,
    hookTimeout: 600_000,
    isolate: false,
  },
});
