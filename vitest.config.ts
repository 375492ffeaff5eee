import { defineConfig } from "vitest/config"

// Forks, not threads: libtorch keeps process-wide state (generators, thread pools). One OpenMP thread each, because two
// processes that both spin on two cores make each other many times slower.
export default defineConfig({
  test: {
    include: ["src/**/*.test.ts", "torch/**/*.test.ts", "jpeg/**/*.test.ts", "test/**/*.test.ts"],
    pool: "forks",
    maxWorkers: 2,
    env: { OMP_NUM_THREADS: "1" },
    testTimeout: 120_000,
  },
})
