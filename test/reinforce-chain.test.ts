import { expect, test } from "vitest"
import { runChain } from "./chain.ts"

/** A small one of `bench/reinforce-chain.ts`. */
test("workers and server that die change nothing of what comes out", { timeout: 180_000 }, async () => {
  const report = await runChain({
    ...{ shards: 24, samplesPerShard: 12, workers: 2, views: 3 },
    ...{ killSeconds: 3, serverDiesAfterSeconds: 0, maxSeconds: 150 },
  })
  expect(report).toMatchObject({ samples: 24 * 12, wrongKeys: [], different: [], parked: 0, serverKilled: 1 })
  expect(report.workersKilled).toBeGreaterThan(0)
})
