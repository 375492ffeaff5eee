/** The thread of `heartbeat.ts`: renews the files that it was told of last. */
import { parentPort, workerData } from "node:worker_threads"
import { beat, type HeartbeatSettings, type Held } from "./heartbeat.ts"

let files: Held = new Map()

parentPort?.on("message", (held: Held) => {
  files = held
  beat(files)
})
setInterval(() => beat(files), (workerData as HeartbeatSettings).seconds * 1000)
