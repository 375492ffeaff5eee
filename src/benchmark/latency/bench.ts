/**
 * Latency and throughput of towers on this machine. Towers of the family are generated, because values do not change the
 * time; each architecture is measured once for all models that have it.
 */
import { median, quantile } from "../../core/arrays/quantile.ts"
import { noProgress, type StartProgress } from "../../core/progress.ts"
import { temporaryFolder } from "../../host/files/temporary.ts"
import { thisMachine } from "../../report/machine.ts"
import { runtimeName } from "../../run/session.ts"
import { coldStart } from "./cold-start.ts"
import type { ColdStart } from "./cold-start-process.ts"
import { writeTower } from "./generated.ts"
import { type LatencyReport, type LatencyRow, latencyFormat } from "./latency-report.ts"
import { type Measured, measureInTurn } from "./measure.ts"
import { type BenchOptions, onnxOnly, type Settled, settle, unique } from "./options.ts"
import { gflops } from "./peak.ts"
import { checkRoom, secondsOf, writeSeconds } from "./plan.ts"
import { type BenchRow, generatedFiles, openProbes, openRow, type Probes, placeOf } from "./rows.ts"
import { findSubjects } from "./subjects.ts"

/**
 * Measures and gives all rows, in the order of the models. Generated towers lie in the system's temporary folder meanwhile.
 *
 * @throws UserError where a model is not found, or nothing of what is asked runs on this machine
 */
export async function bench(options: BenchOptions): Promise<LatencyReport> {
  const { say, startProgress = noProgress } = options
  const notes: string[] = []
  const settled = settle(options, (line) => {
    notes.push(line)
    say?.(line)
  })
  const subjects = await findSubjects(options.models, { ...settled, dtypes: onnxOnly(settled), say: say ?? (() => {}) })
  using folder = temporaryFolder("bench")
  await using probes = await openProbes(subjects, folder.path, settled)
  const rows = probes.combine(subjects)
  await plan(rows, folder.path, settled, options.onPlan)
  await writeTowers(rows, folder.path, settled, startProgress)
  const found = await measureRows(rows, folder.path, settled, {
    startProgress,
    ...(options.onRows && { onRows: options.onRows }),
  })
  return reportOf(found, rows, settled, { notes, probes })
}

/** Says what it will take, and refuses where there is no room. */
async function plan(
  rows: readonly BenchRow[],
  folder: string,
  { settings, runtime }: Settled,
  onPlan: BenchOptions["onPlan"],
): Promise<void> {
  const diskBytes = runtime === "libtorch" ? 0 : generatedFiles(rows).reduce((sum, { bytes }) => sum + bytes, 0)
  await checkRoom(folder, diskBytes)
  const planned = rows.map(({ subject: { cost }, batch, dtype, probe: { best } }) => {
    return { cost, batch, dtype, peakGflops: best }
  })
  onPlan?.({ rows: rows.length, seconds: writeSeconds(diskBytes) + secondsOf(planned, settings), diskBytes })
}

/** libtorch takes generated values as they are. */
async function writeTowers(
  rows: readonly BenchRow[],
  folder: string,
  { runtime, signal }: Settled,
  startProgress: StartProgress,
): Promise<void> {
  const files = runtime === "libtorch" ? [] : generatedFiles(rows)
  if (files.length === 0) return
  const progress = startProgress("generate", files.length, { unit: "towers" })
  for (const [i, { config, tower, dtype, file }] of files.entries()) {
    progress.update(i, file)
    await writeTower(config, tower, folder, file, { dtype, signal })
  }
  progress.update(files.length)
  progress.done()
}

// ------------------------------------------------------------------------------------------------------- measuring

type Found = ReadonlyMap<BenchRow, readonly LatencyRow[]>

interface MeasureHooks extends Pick<BenchOptions, "onRows"> {
  readonly startProgress: StartProgress
}

async function measureRows(
  rows: readonly BenchRow[],
  folder: string,
  settled: Settled,
  { startProgress, onRows }: MeasureHooks,
): Promise<Found> {
  const starts = await startEach(rows, folder, settled, startProgress)
  const found = new Map<BenchRow, readonly LatencyRow[]>()
  const progress = startProgress("measure", rows.length, { unit: "rows" })
  const configurations = rows.map((row) => ({ row, probe: row.probe, open: () => openRow(row, folder, settled) }))
  await measureInTurn(configurations, settled.settings, {
    ...{ progress, signal: settled.signal },
    onMeasured({ row }, measured) {
      const lines = latencyRows(row, measured, starts.get(row) ?? null, settled)
      found.set(row, lines)
      onRows?.(lines)
    },
  })
  progress.update(rows.length)
  progress.done()
  return found
}

/** A process of its own for each row; libtorch's would need a checkpoint. */
async function startEach(
  rows: readonly BenchRow[],
  folder: string,
  { runtime, threads, signal }: Settled,
  startProgress: StartProgress,
): Promise<ReadonlyMap<BenchRow, ColdStart>> {
  const starts = new Map<BenchRow, ColdStart>()
  if (runtime === "libtorch") return starts
  const progress = startProgress("start", rows.length, { unit: "processes" })
  for (const row of rows) {
    const { batch, device } = row
    starts.set(row, await coldStart(placeOf(row, folder), { batch, device, threads }, signal))
    progress.update(starts.size)
  }
  progress.done()
  return starts
}

/** One for each model that has the tower. */
function latencyRows(
  { subject, device, dtype, batch }: BenchRow,
  measured: Measured,
  start: ColdStart | null,
  { runtime, threads }: Settled,
): LatencyRow[] {
  const { samples, firstRunMs, isStable, peakGflops } = measured
  const { models, tower, architecture, cost } = subject
  const medianMs = median(samples)
  return models.map((model) => ({
    ...{ model, tower, architecture, runtime, device, dtype, batch, threads },
    ...{ medianMs, p95Ms: quantile(samples, 0.95), firstRunMs, runs: samples.length, isStable },
    perSecond: (1000 * batch) / medianMs,
    shareOfPeak: cost && gflops(cost.macs * batch, medianMs) / peakGflops,
    ...{ peakGflops, driftPercent: measured.driftPercent },
    peakMemoryMb: start && start.peakBytes / 1e6,
    coldStartMs: start?.milliseconds ?? null,
    ...(cost ?? { parameters: null, macs: null }),
  }))
}

function reportOf(
  found: Found,
  measured: readonly BenchRow[],
  { runtime, threads, devices, batches, quick }: Settled,
  { notes, probes }: { readonly notes: readonly string[]; readonly probes: Probes },
): LatencyReport {
  const models = unique(measured.flatMap(({ subject }) => subject.models))
  const rows = measured.flatMap((row) => found.get(row) ?? [])
  const dtypes = unique(rows.map(({ dtype }) => dtype))
  return {
    ...{ format: latencyFormat, version: 1 as const, machine: thisMachine() },
    options: {
      runtime: runtime === "libtorch" ? runtime : runtimeName(),
      ...{ threads, devices: [...devices], dtypes, batches: [...batches], quick },
    },
    peakGflops: probes.best(),
    rows: models.flatMap((model) => rows.filter((row) => row.model === model)),
    notes: [...notes],
  }
}
