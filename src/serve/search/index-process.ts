/** The process that has an index open for a server, with the text tower of its model. */
import { isInputError, messageOf, oneLine, UserError } from "../../core/errors.ts"
import { RequestError } from "../http/errors.ts"
import { serveParent, type Work } from "../processes/serve-parent.ts"
import type { IndexAnswer, IndexTask, Refusal, ServedIndexSettings } from "./index-work.ts"
import { isPathFree, OpenedIndex } from "./opened-index.ts"

serveParent<ServedIndexSettings, null, IndexTask, IndexAnswer>(openServed)

async function openServed(settings: ServedIndexSettings): Promise<Work<null, IndexTask, IndexAnswer>> {
  const index = await OpenedIndex.open(settings)
  // Pictures are found by pictures of the index, and texts by those that were looked for before, without the model.
  index.warm().catch((error) => say(error))
  return { description: null, do: (task, signal) => answerOf(() => answer(index, task, signal)) }
}

async function answer(index: OpenedIndex, task: IndexTask, signal: AbortSignal): Promise<IndexAnswer> {
  switch (task.kind) {
    case "search":
      return { kind: "page", page: await index.search(task.query, signal) }
    case "describe":
      return { kind: "description", description: index.describe() }
    case "thumbnail":
      if (!task.isKnown) return index.thumbnail(task.id, task.side)
      index.requirePicture(task.id)
      return { kind: "unchanged" }
    default:
      return task satisfies never
  }
}

/** What is wrong with a request, or with the index, is an answer, and no fault of the process. */
async function answerOf(work: () => Promise<IndexAnswer>): Promise<IndexAnswer> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof RequestError || error instanceof UserError)) throw error
    return { kind: "refused", refusal: refusalOf(error) }
  }
}

/** Messages of the index are told where no place of this machine is in them. */
function refusalOf(error: RequestError | UserError): Refusal {
  if (error instanceof RequestError) {
    const { kind, message, parameter } = error
    return { kind, message, parameter }
  }
  if (isInputError(error) && isPathFree(error.message)) {
    const hint = error.hint !== undefined && isPathFree(error.hint) ? `; ${error.hint}` : ""
    return { kind: "invalid", message: `${error.message}${hint}`, parameter: null }
  }
  say(error)
  return { kind: "unavailable", message: "the index cannot answer now; the server's log says why", parameter: null }
}

/** In a line of the server's log. Hints are for commands that have other options. */
function say(error: unknown): void {
  process.stderr.write(`index: ${oneLine(messageOf(error), 1000)}\n`)
}
