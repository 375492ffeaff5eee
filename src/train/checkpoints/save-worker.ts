/** The thread of `CheckpointWriter`. */
import { parentPort } from "node:worker_threads"
import { messageOf, UserError } from "../../core/errors.ts"
import type { SaveAnswer, SaveRequest } from "./checkpoint-writer.ts"
import { saveCheckpoint } from "./folder.ts"

const port = parentPort!

port.on("message", async ({ directory, state, keep }: SaveRequest) => {
  port.postMessage(await answerTo(() => saveCheckpoint(directory, state, keep)))
})

async function answerTo(save: () => Promise<unknown>): Promise<SaveAnswer> {
  try {
    await save()
    return { kind: "saved" }
  } catch (error) {
    return { kind: "failed", message: messageOf(error), hint: error instanceof UserError ? error.hint : undefined }
  }
}
