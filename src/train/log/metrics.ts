/**
 * `metrics.jsonl`: a line of JSON for each step, or for the means of several, and one for each evaluation. Lines are appended as they
 * come, so a run that is killed leaves at most one incomplete line. A resumed run drops that line, and all lines after the step it goes on from.
 */
import { closeSync, createReadStream, existsSync, openSync, writeSync } from "node:fs"
import { UserError } from "../../core/errors.ts"
import { fileError } from "../../host/files/file-error.ts"
import { writeAtomically } from "../../host/files/files.ts"
import { type EvaluationEntry, isStep, type LogEntry, meanOf, type StepEntry } from "./entries.ts"

interface MetricsOptions {
  /** The step that the run goes on from. 0: the run begins, and an old file is replaced. */
  readonly resumeStep?: number
  /** Steps that share a line. */
  readonly every?: number
}

export class MetricsLog {
  private waiting: StepEntry[] = []

  private constructor(
    private readonly path: string,
    private readonly descriptor: number,
    private readonly every: number,
    /** The evaluations that the file holds already. */
    readonly earlier: readonly EvaluationEntry[],
  ) {}

  static async open(path: string, { resumeStep = 0, every = 1 }: MetricsOptions = {}): Promise<MetricsLog> {
    const earlier: EvaluationEntry[] = []
    await writeAtomically(path, resumeStep > 0 ? linesUpTo(path, resumeStep, earlier) : [])
    return new MetricsLog(path, openForAppending(path), every, earlier)
  }

  add(entry: LogEntry): void {
    if (isStep(entry)) this.waiting.push(entry)
    else this.write(entry)
    if (entry.step % this.every === 0) this.flush()
  }

  /** Writes the steps that wait for more to share their line. Called before a checkpoint, so that the file reaches its step. */
  flush(): void {
    if (this.waiting.length > 0) this.write(meanOf(this.waiting))
    this.waiting = []
  }

  close(): void {
    this.flush()
    closeSync(this.descriptor)
  }

  /** Synchronously and in one call, because the step that follows blocks the event loop. */
  private write(entry: LogEntry): void {
    try {
      writeSync(this.descriptor, line(entry))
    } catch (error) {
      throw fileError(error, "writing", this.path)
    }
  }
}

/** Steps that `readMetrics` gives at most: a curve has fewer points. */
const mostSteps = 2 ** 16

/**
 * All complete lines; an empty list where there is no file. Neighbouring steps of a very long run are given as their means, as if
 * they shared a line: memory does not grow with the run. Throws UserError for a broken line before the end.
 *
 * @param most steps that are given at most, at least half as many where there are more
 */
export async function readMetrics(path: string, most = mostSteps): Promise<LogEntry[]> {
  const read = new FewEntries(most)
  for await (const entries of entriesIn(path)) for (const entry of entries) read.add(entry)
  return read.all()
}

/** Entries in order, and as many steps in each of the entries as needed. */
class FewEntries {
  private entries: LogEntry[] = []
  private steps = 0
  private stepsOfEntry = 1
  private waiting: StepEntry[] = []

  constructor(private readonly most: number) {}

  add(entry: LogEntry): void {
    if (!isStep(entry)) this.entries.push(entry)
    else if (this.waiting.push(entry) === this.stepsOfEntry) this.share()
  }

  all(): LogEntry[] {
    if (this.waiting.length > 0) this.share()
    return this.entries
  }

  private share(): void {
    this.entries.push(this.waiting.length === 1 ? this.waiting[0]! : meanOf(this.waiting))
    this.waiting = []
    if (++this.steps > this.most) this.halve()
  }

  private halve(): void {
    const { entries } = this
    ;[this.entries, this.steps, this.stepsOfEntry] = [[], 0, 2 * this.stepsOfEntry]
    const pair: StepEntry[] = []
    for (const entry of entries) {
      if (!isStep(entry)) this.entries.push(entry)
      else if (pair.push(entry) === 2) this.keep(meanOf(pair.splice(0)))
    }
    if (pair.length > 0) this.keep(pair[0]!)
  }

  private keep(entry: StepEntry): void {
    this.entries.push(entry)
    this.steps++
  }
}

/** The lines of a file up to a step, many at a time. */
async function* linesUpTo(path: string, last: number, evaluations: EvaluationEntry[]): AsyncGenerator<string> {
  for await (const entries of entriesIn(path)) {
    const kept = entries.filter(({ step }) => step <= last)
    for (const entry of kept) if (!isStep(entry)) evaluations.push(entry)
    yield kept.map(line).join("")
  }
}

/** How much of a file is read at a time. */
const bytesAtOnce = 2 ** 18

/** The entries of all complete lines, many at a time: a long run has more text than a string can hold. */
async function* entriesIn(path: string): AsyncGenerator<LogEntry[]> {
  if (!existsSync(path)) return
  // What follows the last line break was not written completely.
  let [rest, number] = ["", 1]
  try {
    for await (const text of createReadStream(path, { encoding: "utf8", highWaterMark: bytesAtOnce })) {
      const lines = (rest + text).split("\n")
      rest = lines.pop()!
      const first = number
      number += lines.length
      yield lines.map((one, i) => parseLine(one, `${path}, line ${first + i}`))
    }
  } catch (error) {
    throw fileError(error, "reading", path)
  }
}

function parseLine(text: string, where: string): LogEntry {
  try {
    const entry: unknown = JSON.parse(text)
    if (typeof entry === "object" && entry !== null && "step" in entry) return withNaN(entry as LogEntry)
  } catch {}
  throw new UserError(`${where} is not an entry of a training log`, "delete the line, or the file to begin a new one")
}

function withNaN(entry: LogEntry): LogEntry {
  if (!isStep(entry)) return entry
  const losses = Object.entries(entry.losses).map(([name, loss]) => [name, loss ?? Number.NaN] as const)
  return { ...entry, losses: Object.fromEntries(losses), gradNorm: entry.gradNorm ?? Number.NaN }
}

function openForAppending(path: string): number {
  try {
    return openSync(path, "a")
  } catch (error) {
    throw fileError(error, "writing", path)
  }
}

/** JSON has no NaN; it becomes null, and is read as NaN. */
function line(entry: LogEntry): string {
  return `${JSON.stringify(entry)}\n`
}
