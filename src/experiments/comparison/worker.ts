/** A process that trains one model for `trainModels`. */
import { toMessage } from "../../core/error-message.ts"
import type { StartProgress } from "../../core/progress.ts"
import { type ModelTraining, trainModel } from "./train-model.ts"
import type { Message } from "./train-models.ts"

const stop = new AbortController()
process.on("SIGTERM", () => stop.abort())
// Ctrl-C and the end of the terminal reach this process too; its parent passes them on as SIGTERM.
for (const signal of ["SIGINT", "SIGHUP"] as const) process.on(signal, () => {})
process.once("disconnect", () => stop.abort())

process.once("message", async (training: ModelTraining) => {
  try {
    await say({ kind: "result", result: await trainModel(training, { startProgress, signal: stop.signal }) })
  } catch (error) {
    await say({ kind: "error", error: toMessage(error) })
  }
  process.exit()
})

/** Sends the progress to the parent, which shows it. */
const startProgress: StartProgress = () => ({
  update: (done, detail = "") => void say({ kind: "progress", done, detail: detail.split("  ")[0]! }),
  done() {},
})

function say(message: Message): Promise<void> {
  return new Promise((resolve) => {
    if (process.connected) process.send!(message, () => resolve())
    else resolve()
  })
}
