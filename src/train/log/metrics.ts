/**
 * `metrics.jsonl`: a line of JSON for each step, or for the means of several, and one for each evaluation. Lines are appended as they
 * come, so a run that is killed leaves at most one incomplete line. A resumed run drops that line, and all lines after the step it goes on from.
 */
import { closeSync, existsSync, openSync, writeSync } from "node:fs"
import { UserError } from "../../core/errors.ts"
import { fileError } from "../../host/files/file-error.ts"
import { readBytes, writeAtomically } from "../../host/files/files.ts"
import { isStep, type LogEntry, meanOf, type StepEntry } from "./entries.ts"

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
    /** What the file holds already. */
    readonly earlier: readonly LogEntry[],
  ) {}

  static async open(path: string, { resumeStep = 0, every = 1 }: MetricsOptions = {}): Promise<MetricsLog> {
    const earlier = resumeStep > 0 ? (await readMetrics(path)).filter(({ step }) => step <= resumeStep) : []
    await writeAtomically(path, earlier.map(line))
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

/** All complete lines; an empty list where there is no file. Throws UserError for a broken line before the end. */
export async function readMetrics(path: string): Promise<LogEntry[]> {
  if (!existsSync(path)) return []
  const lines = new TextDecoder().decode(await readBytes(path)).split("\n")
  // What follows the last line break was not written completely.
  return lines.slice(0, -1).map((text, i) => parseLine(text, `${path}, line ${i + 1}`))
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
