/**
 * `node dist/bench/reinforce-chain.js [shards] [samples per shard] [workers] [seconds between deaths]`: data generation
 * on many machines that fail, compared with one process byte for byte. Default: 200 shards, 4 workers, a death every 3 s.
 */
import { runChain } from "../test/chain.ts"

const [shards = 200, samplesPerShard = 24, workers = 4, killSeconds = 3] = process.argv.slice(2).map(Number)

const report = await runChain({
  ...{ shards, samplesPerShard, workers, killSeconds },
  ...{ serverDiesAfterSeconds: 5, views: 4, maxSeconds: 900, log: console.log },
})
console.log(JSON.stringify(report, null, 2))
const sound = report.different.length + report.wrongKeys.length + report.parked === 0
console.log(sound ? "identical to one process; every sample once; nothing parked" : "FAIL")
process.exitCode = sound ? 0 : 1
