/** How the memory of a process grows over what it does again and again. */
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { median } from "../src/core/arrays/quantile.ts"

/** Times after which the allocator has what it keeps. */
const settled = 10

/** A single size depends on what was collected last: by a tenth, where a process is small. */
const window = 10

/** Medians of resident bytes. */
export interface Resident {
  /** After the ten times after the tenth. */
  readonly first: number
  /** After the last ten. */
  readonly last: number
}

/** Over loads and disposals of a model. */
export async function residentAfter(model: string, times: number): Promise<Resident> {
  return levels((await run("load-and-dispose", [model, String(times)])) as number[])
}

export interface SearchLeaks extends Resident {
  /** Mappings of the index's files, and open files, after the tenth time and the last. */
  readonly held: readonly [before: Held, after: Held]
}

interface Held {
  readonly mappings: number
  readonly files: number
}

/** Over fifty searches `times` times: of one open index, or each by a scanner of its own. */
export async function searchLeaks(what: "queries" | "scanner", index: string, times: number): Promise<SearchLeaks> {
  const found = await run("search-and-reopen", [what, index, String(times)])
  const { resident, held } = found as { resident: number[]; held: SearchLeaks["held"] }
  return { ...levels(resident), held }
}

function levels(resident: readonly number[]): Resident {
  return { first: median(resident.slice(settled, settled + window)), last: median(resident.slice(-window)) }
}

/** What a program of this folder prints. This file is compiled into dist/test, and run as it is by the tests. */
async function run(program: string, args: readonly string[]): Promise<unknown> {
  const here = fileURLToPath(new URL(`${program}.js`, import.meta.url))
  const built = here.replace(/(?<!dist)\/test\//, "/dist/test/")
  const { stdout } = await promisify(execFile)(process.execPath, ["--expose-gc", built, ...args])
  return JSON.parse(stdout)
}
