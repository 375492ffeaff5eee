import { defineConfig } from "vitest/config"

// Forks, not threads: libtorch keeps process-wide state (generators, thread pools).
export default defineConfig({
  test: {
    include: ["src/**/*.test.ts", "torch/**/*.test.ts", "test/**/*.test.ts"],
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 120_000,
  },
})
