/** The thread of `heartbeat.ts`: renews the files of the last message. */
import { parentPort, workerData } from "node:worker_threads"
import { beat, type HeartbeatSettings, type HeldFiles } from "./heartbeat.ts"

let files: HeldFiles = new Map()

parentPort?.on("message", (held: HeldFiles) => {
  files = held
  beat(files)
})
setInterval(() => beat(files), (workerData as HeartbeatSettings).seconds * 1000)
