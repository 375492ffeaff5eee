/** Loads a tower in a process of its own and computes one batch: what a program that starts waits for, and its memory. */
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { isAbort, oneLine, UserError } from "../../core/errors.ts"
import { workerFile } from "../../host/worker-file.ts"
import type { ColdStart } from "./cold-start-process.ts"
import type { RunOptions, TowerPlace } from "./runner.ts"

export async function coldStart(place: TowerPlace, options: RunOptions, signal?: AbortSignal): Promise<ColdStart> {
  const program = fileURLToPath(workerFile(import.meta.url, "cold-start-process"))
  const argument = JSON.stringify([place, options])
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [program, argument], {
      signal,
      killSignal: "SIGKILL",
    })
    return JSON.parse(stdout)
  } catch (error) {
    if (isAbort(error)) throw error
    throw new UserError(
      `a process that loads ${place.file} failed: ${reasonOf(error)}`,
      "look at the memory that is free",
      {
        cause: error,
      },
    )
  }
}

/** The last words of a process, or the signal that ended it. */
function reasonOf(error: unknown): string {
  const { stderr = "", signal } = error as { readonly stderr?: string; readonly signal?: string | null }
  if (signal) return `it was ended by ${signal}`
  const lines = stderr.split("\n").filter((line) => /error/i.test(line))
  return oneLine(lines[0] ?? String(error), 300)
}
