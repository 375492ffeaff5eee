/** A process that holds one library: it is told which, then which tasks, one after the other. */
import { messageOf } from "../../src/core/errors.ts"
import { peakMemory } from "../../src/host/peak-memory.ts"
import type { Library } from "./library.ts"
import { openLibrary } from "./open-library.ts"
import { type Answer, type Opening, type Task, takeTurn } from "./participant.ts"

let library: Library | null = null

process.on("message", async (question: Opening | Task) => {
  try {
    process.send!(await answer(question))
  } catch (error) {
    process.send!({ kind: "failed", message: messageOf(error) } satisfies Answer)
  }
})

async function answer(question: Opening | Task): Promise<Answer> {
  if ("folder" in question) {
    library = await openLibrary(question.name, question.folder)
    return { kind: "opened", description: library.description, embedDim: library.embedDim }
  }
  const turn = await takeTurn(library!, question)
  return { kind: "turn", ...turn, peakBytes: peakMemory() }
}
