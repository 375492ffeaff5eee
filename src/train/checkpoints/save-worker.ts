/** The thread of `checkpoint-writer.ts`. */

import { fileError } from "../../host/files/file-error.ts"
import { serveThread } from "../../host/thread-pool.ts"
import type { SaveRequest } from "./checkpoint-writer.ts"
import { saveCheckpoint } from "./folder.ts"

serveThread(() => ({
  async answer({ directory, state, keep }: SaveRequest) {
    try {
      await saveCheckpoint(directory, state, keep)
    } catch (error) {
      throw fileError(error, "writing", directory)
    }
  },
}))
