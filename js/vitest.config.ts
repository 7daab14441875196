import { defineConfig } from "vitest/config";

// One jsdom for all files (isolate: false): making one for each took half of the time. What a file stubs it puts back.
export default defineConfig({ test: { environment: "jsdom", include: ["test/**/*.test.ts"], testTimeout: 30_000, isolate: false } });
