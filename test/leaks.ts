/** How the memory of a process grows over loads and disposals of a model. */
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { median } from "../src/core/arrays/quantile.ts"

/** This file is compiled into dist/test, and run as it is by the tests. */
const program = fileURLToPath(new URL("load-and-dispose.js", import.meta.url)).replace(
  /(?<!dist)\/test\//,
  "/dist/test/",
)

/** Loads after which the allocator has what it keeps. */
const settled = 10

/** A single size depends on what was collected last: by a tenth, where a process is small. */
const window = 10

/** Resident bytes of the last ten of `times` loads and disposals, and of the ten after the tenth: medians. */
export async function residentAfter(model: string, times: number): Promise<{ first: number; last: number }> {
  const { stdout } = await promisify(execFile)(process.execPath, ["--expose-gc", program, model, String(times)])
  const sizes = JSON.parse(stdout) as number[]
  return { first: median(sizes.slice(settled, settled + window)), last: median(sizes.slice(-window)) }
}
