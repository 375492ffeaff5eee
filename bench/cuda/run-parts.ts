/** Runs the parts of a proof one after the other, each in a process of its own, whatever becomes of those before. */
import { spawn } from "node:child_process"
import { messageOf } from "../../src/core/errors.ts"
import { type Json, lastJson, type Part, type Result } from "./parts.ts"

export interface PartReport {
  readonly part: string
  readonly command: string
  readonly seconds: number
  readonly results: readonly (Result & { readonly isReached?: boolean })[]
  /** Why there are no results. */
  readonly failure?: string
}

/**
 * @param longest seconds of all parts together: a late one gets what is left
 * @param onReport called after each part, with all reports so far
 */
export async function runParts(
  parts: readonly Part[],
  longest: number,
  onReport: (reports: readonly PartReport[]) => Promise<void>,
): Promise<readonly PartReport[]> {
  const [started, reports, outputs] = [performance.now(), [] as PartReport[], new Map<string, Json>()]
  for (const part of parts) {
    const left = longest - (performance.now() - started) / 1000
    reports.push(await run(part, Math.min(part.seconds, left), outputs))
    await onReport(reports)
  }
  return reports
}

/** Whether a part failed or missed a goal. */
export function isShort({ failure, results }: PartReport): boolean {
  return failure !== undefined || results.some(({ isReached }) => isReached === false)
}

async function run(part: Part, seconds: number, outputs: Map<string, Json>): Promise<PartReport> {
  const started = performance.now()
  const command = [part.program, ...part.args].join(" ")
  const finished = (rest: Pick<PartReport, "results" | "failure">): PartReport => ({
    ...{ part: part.name, command, seconds: (performance.now() - started) / 1000 },
    ...rest,
  })
  try {
    const output = await outputOf(part, seconds)
    const results = part.read(output, outputs).map(withVerdict)
    if (/^\{.*\}$/m.test(output)) outputs.set(part.name, lastJson(output))
    return finished({ results })
  } catch (error) {
    return finished({ results: [], failure: messageOf(error) })
  }
}

/** Standard output. Throws where the program fails, unless it counts its failures itself, or is ended after `seconds`. */
function outputOf({ program, args }: Part, seconds: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] })
    let [output, errors, isLate] = ["", "", false]
    const timer = setTimeout(() => {
      isLate = true
      child.kill("SIGKILL")
    }, Math.max(0, seconds) * 1000)
    child.stdout.on("data", (text) => (output += text))
    child.stderr.on("data", (text) => (errors = (errors + text).slice(-4000)))
    child.on("error", reject)
    child.on("close", (code) => {
      clearTimeout(timer)
      if (isLate) reject(new Error(`it was ended after ${seconds.toFixed(0)} seconds`))
      else if (code === 0 || / passed, \d+ failed/.test(output)) resolve(output)
      else reject(new Error(lastLine(errors) ?? `exit code ${code}`))
    })
  })
}

const lastLine = (text: string) =>
  text
    .trim()
    .split("\n")
    .findLast((line) => line.trim() !== "")

function withVerdict(result: Result) {
  const { value, goal } = result
  if (!goal) return result
  const isReached = typeof value === "number" && ("atLeast" in goal ? value >= goal.atLeast : value <= goal.atMost)
  return { ...result, isReached }
}
