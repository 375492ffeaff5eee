import { expect, test } from "vitest"
import { runHostileChain, unmet } from "./hostile-chain.ts"

/** A small one of `bench/hostile-chain.ts`. */
test("broken machines, another model and bad messages change nothing of what comes out", {
  timeout: 240_000,
}, async () => {
  const report = await runHostileChain({
    ...{ shards: 12, samplesPerShard: 3, views: 2, workers: 2, storeDelaySeconds: 0.2 },
    ...{ maxSeconds: 90, patienceSeconds: 40, badWorkers: true, badMessages: true },
  })
  expect(unmet(report)).toEqual([])
  expect(report).toMatchObject({ done: 12, samples: 36, parked: [], different: [], wrongKeys: [] })
  expect(report.badMessages.published).toBeGreaterThan(0)
  const bad = report.workers.filter(({ mustSay }) => mustSay)
  expect(bad.map(({ name }) => name)).toEqual([
    ...(report.leftOut.length === 0 ? ["full disk"] : []),
    ...["no credentials", "credentials expired", "another model"],
  ])
})
