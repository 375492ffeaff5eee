/**
 * A worker as a process of its own, to be killed by tests. Arguments: URL of the server, name of the job. Prints what
 * happens as JSON lines. SIGTERM: leaves after its shard; a second one: at once.
 */
import { connectNats } from "../src/reinforce/distributed/server/connection.ts"
import { natsSettings } from "../src/reinforce/distributed/server/nats-settings.ts"
import { runWorker, waitForJob } from "../src/reinforce/distributed/worker/worker.ts"
import { CopyRunner } from "./copy-runner.ts"

const [url, name] = process.argv.slice(2) as [string, string]
const leave = new AbortController()
const abandon = new AbortController()
process.on("SIGTERM", () => (leave.signal.aborted ? abandon : leave).abort())
process.on("disconnect", () => process.exit(1))

const connection = await connectNats(await natsSettings(url, {}), "test worker")
const job = await waitForJob(connection, name, leave.signal)
await using runner = new CopyRunner()
const report = (event: object) => process.send!(event)
const timing = { idleSeconds: 1, presenceSeconds: 1 }
const signals = { leave: leave.signal, abandon: abandon.signal }
if (job) report({ kind: "left", ...(await runWorker(job, runner, { ...timing, ...signals, onEvent: report })) })
await connection.close()
process.disconnect()
