/** How the memory of a process grows over loads and disposals of a model. */
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"

/** This file is compiled into dist/test, and run as it is by the tests. */
const program = fileURLToPath(new URL("load-and-dispose.js", import.meta.url)).replace(
  /(?<!dist)\/test\//,
  "/dist/test/",
)

/** Loads after which the allocator has what it keeps. */
const settled = 5

/** Resident bytes after the last of `times` loads and disposals, and after the fifth. */
export async function residentAfter(model: string, times: number): Promise<{ first: number; last: number }> {
  const { stdout } = await promisify(execFile)(process.execPath, ["--expose-gc", program, model, String(times)])
  const sizes = JSON.parse(stdout) as number[]
  return { first: sizes[settled - 1]!, last: sizes.at(-1)! }
}
