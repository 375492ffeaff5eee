/** Where the time of a training step goes: steps that are only timed and steps that are traced, in turn. */
import { median } from "../../src/core/arrays/quantile.ts"
import { UserError } from "../../src/core/errors.ts"
import { type ClipConfig, type VariantName, variants } from "../../src/core/family/variants.ts"
import type { Batch } from "../../src/data/training/batch.ts"
import { infoOf } from "../../src/experiments/quickstart/models.ts"
import { Clip } from "../../src/model/clip.ts"
import { initialize } from "../../src/model/module.ts"
import { defaultTrainConfig } from "../../src/train/train.ts"
import * as torch from "../../torch/index.ts"
import { type BatchOptions, objectiveOf, randomBatch } from "../step/random-batch.ts"
import { TimedTrainer } from "../step/timed-trainer.ts"
import type { Bounds, Machine } from "./bounds.ts"
import { type Phase, placeIn, type Work, workOf } from "./classify.ts"
import { type Kind, kinds } from "./operators.ts"
import { measureRecord, type RecordCost } from "./record.ts"

export interface AnatomyOptions extends BatchOptions, Machine {
  readonly model: ModelName
  /** Timed steps, and as many traced ones. */
  readonly steps: number
}

export interface Part {
  readonly kind: Kind
  readonly ms: number
  /** Share of the step, 0..1. */
  readonly share: number
  readonly calls: number
  readonly gigaOperations: number
  readonly megabytes: number
  /** What its operations and bytes need at least, call by call the longer of the two. */
  readonly boundMs: number
}

export interface Anatomy {
  readonly model: ModelName
  readonly batch: number
  readonly reinforced: boolean
  /** The median of the steps that are not traced. */
  readonly stepMs: number
  /** The same of the traced ones, of which the parts are shares. */
  readonly tracedMs: number
  readonly processorMs: number
  readonly systemMs: number
  readonly pageFaults: number
  readonly parts: readonly Part[]
  /** Where steps with a loader were measured too. */
  readonly loading?: Loading
  /** Calls by path and arguments, the longest first. */
  readonly rows: readonly Row[]
}

/** Medians, in milliseconds. */
export interface Loading {
  /** Until the next batch is there. */
  readonly waitMs: number
  /** A step with its wait. */
  readonly stepMs: number
  readonly stepWithoutLoaderMs: number
  /** Processor time of a step with a loader, less that of one without. */
  readonly besideMs: number
  /** Processor time of a batch where nothing else runs. */
  readonly aloneMs: number
}

export interface Row {
  readonly kind: Kind
  readonly path: string
  readonly arguments: string
  readonly calls: number
  /** Milliseconds of a traced step. */
  readonly ms: number
}

/** Small batches of the family's on a processor: a step is a few seconds. */
const models = {
  quickstart: { config: variants.quickstart.model, batch: 96 },
  "quickstart-student": { config: clipOf("quickstart-student"), batch: 64 },
  "quickstart-teacher-a": { config: clipOf("quickstart-teacher-a"), batch: 48 },
  "quickstart-teacher-b": { config: clipOf("quickstart-teacher-b"), batch: 48 },
  "mobileclip2-s0": { config: variants["mobileclip2-s0"].model, batch: 8 },
  "mobileclip2-b": { config: variants["mobileclip2-b"].model, batch: 8 },
} as const satisfies Record<string, { config: ClipConfig; batch: number }>

export const modelNames: readonly string[] = Object.keys(models)
export type ModelName = keyof typeof models | VariantName

/** Any model of the family, by its name. */
export function modelOf(name: string): {
  readonly model: ModelName
  readonly config: ClipConfig
  readonly batch: number
} {
  if (name in models) return { model: name as ModelName, ...models[name as keyof typeof models] }
  if (name in variants) return { model: name as VariantName, config: variants[name as VariantName].model, batch: 8 }
  const known = [...new Set([...modelNames, ...Object.keys(variants)])]
  throw new UserError(`there is no model "${name}"`, `there are: ${known.join(", ")}`)
}

function clipOf(name: "quickstart-student" | "quickstart-teacher-a" | "quickstart-teacher-b"): ClipConfig {
  return infoOf(name).config as ClipConfig
}

const warmUp = 3

export function measureAnatomy(options: AnatomyOptions, bounds: Bounds): Anatomy {
  const { device, precision, reinforced } = options
  torch.setThreads(options.threads)
  const { config } = modelOf(options.model)
  const model = new Clip(config)
  initialize(model, defaultTrainConfig.seed)
  const batch = randomBatch(config, options)
  const trainer = new TimedTrainer(model, { objective: objectiveOf(reinforced), device, precision })
  try {
    for (let i = 0; i < warmUp; i++) trainer.step(batch)
    const record = measureRecord()
    const turns = Array.from({ length: options.steps }, () => ({
      timed: measured(() => trainer.step(batch)),
      traced: tracedStep(trainer, batch, options, record),
    }))
    return summary(options, turns, bounds)
  } finally {
    trainer.free()
  }
}

export interface Measured {
  readonly ms: number
  readonly processorMs: number
  readonly systemMs: number
  readonly pageFaults: number
}

export function measured(step: () => void): Measured {
  const before = process.resourceUsage()
  const start = performance.now()
  step()
  const ms = performance.now() - start
  const after = process.resourceUsage()
  const systemMs = (after.systemCPUTime - before.systemCPUTime) / 1000
  return {
    ...{ ms, systemMs, processorMs: systemMs + (after.userCPUTime - before.userCPUTime) / 1000 },
    pageFaults: after.minorPageFault - before.minorPageFault,
  }
}

type TracedRow = Work & Pick<torch.TraceRow, "path" | "arguments">

interface TracedStep {
  readonly ms: number
  readonly rows: readonly TracedRow[]
}

function tracedStep(trainer: TimedTrainer, batch: Batch, { device }: Machine, record: RecordCost): TracedStep {
  let ms = 0
  const part = (phase: Phase, work: () => void): TracedRow[] => {
    const from = performance.now()
    let done = from
    const traced = torch.trace(() => {
      work()
      done = performance.now()
    }, device)
    ms += done - from
    const rows = withoutWaiting(traced).map((row) => ({
      ...{ path: row.path, arguments: row.arguments },
      ...workOf(row, phase),
    }))
    return [...rows, rest(rows, done - from), ...traced.map((row) => recorded(row, phase, record))]
  }
  const rows = [...part("gradients", () => void trainer.gradients(batch)), ...part("update", () => trainer.update())]
  return { ms, rows }
}

const ofRecord = "the record of calls"

/** What the trace added, taken off the kind that has the time: it adds to the call around the one that it records. */
function recorded(row: torch.TraceRow, phase: Phase, cost: RecordCost): TracedRow {
  const { around, isNested } = placeIn(row, phase)
  const seconds = -row.calls * (isNested ? cost.nested : cost.outermost)
  return { path: ofRecord, arguments: "", kind: around, calls: 0, seconds, operations: 0, bytes: 0 }
}

/** What no call has: the program's own. */
function rest(rows: readonly Work[], ms: number): TracedRow {
  const seconds = ms / 1000 - rows.reduce((sum, row) => sum + row.seconds, 0)
  return { path: "between the calls", arguments: "", kind: "node", calls: 0, seconds, operations: 0, bytes: 0 }
}

/** A GPU's nodes run in a thread of their own, for which the caller of the backward pass waits. */
export function withoutWaiting(rows: readonly torch.TraceRow[]): torch.TraceRow[] {
  const isElsewhere = ({ path }: torch.TraceRow) => path.includes("autograd::") && !path.includes("backward pass")
  let waited = rows.filter(isElsewhere).reduce((sum, { seconds }) => sum + seconds, 0)
  return rows.map((row) => {
    if (!row.path.endsWith("backward pass")) return row
    const less = Math.min(waited, row.seconds)
    waited -= less
    return { ...row, seconds: row.seconds - less }
  })
}

interface Turn {
  readonly timed: Measured
  readonly traced: TracedStep
}

function summary(options: AnatomyOptions, turns: readonly Turn[], bounds: Bounds): Anatomy {
  const timed = (part: keyof Measured) => median(turns.map((turn) => turn.timed[part]))
  const [stepMs, tracedMs] = [timed("ms"), median(turns.map(({ traced }) => traced.ms))]
  const raw = (Object.keys(kinds) as Kind[]).map((kind) => partOf(kind, turns, bounds))
  const sum = raw.reduce((total, part) => total + part.ms, 0)
  const { model, batch, reinforced } = options
  return {
    ...{ model, batch, reinforced, stepMs, tracedMs },
    ...{ processorMs: timed("processorMs"), systemMs: timed("systemMs"), pageFaults: timed("pageFaults") },
    parts: raw.map((part) => ({ ...part, ms: (part.ms / sum) * stepMs, share: part.ms / sum })),
    rows: rowsOf(turns),
  }
}

/** Milliseconds are a median; what is counted is the same in every step. */
function partOf(kind: Kind, turns: readonly Turn[], bounds: Bounds): Part {
  const of = ({ traced }: Turn) => traced.rows.filter((row) => row.kind === kind)
  const sum = (rows: readonly Work[], value: (work: Work) => number) =>
    rows.reduce((total, row) => total + value(row), 0)
  const rows = of(turns[0]!)
  const bound = ({ operations, bytes }: Work) => Math.max(operations / bounds.operations, bytes / bounds.bytes)
  return {
    ...{ kind, share: 0, calls: sum(rows, (row) => row.calls) },
    ms:
      1000 *
      median(
        turns.map((turn) =>
          Math.max(
            0,
            sum(of(turn), (row) => row.seconds),
          ),
        ),
      ),
    gigaOperations: sum(rows, (row) => row.operations) / 1e9,
    megabytes: sum(rows, (row) => row.bytes) / 1e6,
    boundMs: 1000 * sum(rows, bound),
  }
}

function rowsOf(turns: readonly Turn[]): Row[] {
  const found = new Map<string, Row>()
  const rows = turns.flatMap(({ traced }) => traced.rows).filter(({ path }) => path !== ofRecord)
  for (const { path, arguments: args, kind, calls, seconds } of rows) {
    const key = `${kind} ${path} ${args}`
    const { calls: before, ms } = found.get(key) ?? { calls: 0, ms: 0 }
    const n = turns.length
    found.set(key, { kind, path, arguments: args, calls: before + calls / n, ms: ms + (1000 * seconds) / n })
  }
  return [...found.values()].sort((a, b) => b.ms - a.ms)
}
