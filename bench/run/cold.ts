/** From the start of a process to its end, and its memory: what someone who types a command waits for. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import { text } from "node:stream/consumers"
import { pathToFileURL } from "node:url"
import { median } from "../../src/core/arrays/quantile.ts"
import { command, compiled } from "./compiled.ts"

export interface Cold {
  readonly what: "classify" | "text query"
  readonly library: "mobileclip" | "transformers.js"
  /** The first run finds an empty cache in the user's cache folder; later ones find what it left there. */
  readonly run: "first" | "second"
  /** Medians of the rounds. */
  readonly milliseconds: number
  readonly peakBytes: number
  readonly rounds: readonly number[]
}

const labels = ["dog", "cat", "house"] as const

interface Process {
  readonly milliseconds: number
  readonly peakBytes: number
}

type Program = Pick<Cold, "what" | "library"> & { readonly words: readonly string[] }

/** In turn, each program twice. Caches are made anew, in `folder`, for each round. */
export async function coldStarts(model: string, picture: string, folder: string, rounds: number): Promise<Cold[]> {
  const programs = programsFor(model, picture)
  const processes = new Map(programs.map((program) => [program, { first: [] as Process[], second: [] as Process[] }]))
  for (let round = 0; round < rounds; round++) {
    for (const program of round % 2 === 0 ? programs : programs.toReversed()) {
      const cache = join(folder, `cache-${programs.indexOf(program)}-${round}`)
      const { first, second } = processes.get(program)!
      first.push(await timed(program.words, cache))
      second.push(await timed(program.words, cache))
    }
  }
  return [...processes].flatMap(([program, { first, second }]) => [
    coldOf(program, "first", first),
    coldOf(program, "second", second),
  ])
}

function programsFor(model: string, picture: string): Program[] {
  const query = compiled("text-query")
  return [
    {
      ...{ what: "classify", library: "mobileclip" },
      // The other library encodes its labels each time.
      words: [command, "classify", picture, "--model", model, "--labels", labels.join(","), "--no-cache"],
    },
    {
      ...{ what: "classify", library: "transformers.js" },
      words: [compiled("classify-theirs"), model, picture, ...labels],
    },
    { what: "text query", library: "mobileclip", words: [query, "mobileclip", model] },
    { what: "text query", library: "transformers.js", words: [query, "transformers.js", model] },
  ]
}

function coldOf({ what, library }: Program, run: Cold["run"], processes: readonly Process[]): Cold {
  const rounds = processes.map(({ milliseconds }) => milliseconds)
  const peakBytes = median(processes.map((process) => process.peakBytes))
  return { what, library, run, milliseconds: median(rounds), peakBytes, rounds }
}

/** The process says on a pipe of its own what memory it took. Throws what it says where it fails. */
async function timed(words: readonly string[], cache: string): Promise<Process> {
  const from = performance.now()
  const watch = ["--import", pathToFileURL(compiled("peak-at-exit")).href]
  const child = spawn(process.execPath, [...watch, ...words], {
    stdio: ["ignore", "ignore", "pipe", "pipe"],
    env: { ...process.env, XDG_CACHE_HOME: cache },
  })
  const [errors, peak, [code]] = await Promise.all([
    text(child.stderr!),
    text(child.stdio[3] as NodeJS.ReadableStream),
    once(child, "exit"),
  ])
  if (code !== 0) throw new Error(`${words.join(" ")} failed: ${errors}`)
  return { milliseconds: performance.now() - from, peakBytes: Number(peak) }
}
