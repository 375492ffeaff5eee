/** How the memory of a process grows over what it does again and again. */
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { median } from "../src/core/arrays/quantile.ts"

/** Times after which the allocator and the compiler have what they keep. */
const settled = { models: 10, searches: 40 } as const

/** A single size depends on what was collected last: by a tenth, where a process is small. */
const window = 10

/** Medians of resident bytes. */
export interface Resident {
  /** The ten times after it has settled. */
  readonly first: number
  /** The last ten. */
  readonly last: number
}

/** Over loads and disposals of a model. */
export async function residentAfter(model: string, times: number): Promise<Resident> {
  return levels((await run("load-and-dispose", [model, String(times)])) as number[], settled.models)
}

export interface SearchLeaks extends Resident {
  /** When `first` begins, and at the end. */
  readonly held: readonly [before: Held, after: Held]
}

interface Held {
  /** Mappings of vectors and codes. */
  readonly mappings: number
  /** Open files of the process. */
  readonly files: number
}

/** Over fifty searches `times` times: of one open index, or each by a scanner of its own. */
export async function searchLeaks(what: "queries" | "scanner", index: string, times: number): Promise<SearchLeaks> {
  const found = await run("search-and-reopen", [what, index, String(times)])
  const { resident, held } = found as { resident: number[]; held: Held[] }
  return { ...levels(resident, settled.searches), held: [held[settled.searches]!, held.at(-1)!] }
}

function levels(resident: readonly number[], from: number): Resident {
  return { first: median(resident.slice(from, from + window)), last: median(resident.slice(-window)) }
}

/** What a program of this folder prints. This file is compiled into dist/test, and run as it is by the tests. */
async function run(program: string, args: readonly string[]): Promise<unknown> {
  const here = fileURLToPath(new URL(`${program}.js`, import.meta.url))
  const built = here.replace(/(?<!dist)\/test\//, "/dist/test/")
  const { stdout } = await promisify(execFile)(process.execPath, ["--expose-gc", built, ...args])
  return JSON.parse(stdout)
}
