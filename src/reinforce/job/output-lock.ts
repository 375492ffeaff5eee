/** The lock of a job's output: a folder of this machine belongs to one process, and stores have no processes to ask for. */
import { pathOf } from "../../data/stores/local.ts"
import { isUrl } from "../../data/stores/open.ts"
import { type Lock, lockFolder } from "../../host/locks/lock.ts"

/** Null where the output is in a store. Throws UserError where another process has it. */
export async function lockOutput(output: string, command: string, signal?: AbortSignal): Promise<Lock | null> {
  if (isUrl(output) && !/^file:/i.test(output)) return null
  return lockFolder(pathOf(output), `mobileclip reinforce ${command}`, signal)
}
