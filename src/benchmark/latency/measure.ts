/**
 * Measures many configurations in turn: each is loaded, warmed up and run for a moment, then the next one, round after round,
 * so that a machine that becomes slower or faster does so for all alike. A configuration has its last turn when its median is
 * known well enough, or its time has run out.
 */
import { median } from "../../core/arrays/quantile.ts"
import type { Progress } from "../../core/progress.ts"
import type { PeakProbe } from "./peak.ts"
import type { Runner } from "./runner.ts"
import { driftPercent, medianError } from "./statistics.ts"

export interface MeasureSettings {
  /** The least and the largest number of turns. */
  readonly turns: number
  readonly mostTurns: number
  /** Seconds, and runs, after which a turn ends. There is one run at least. */
  readonly secondsPerTurn: number
  readonly runsPerTurn: number
  /** The error of the median, as a share of it, below which it counts as stable. */
  readonly tolerance: number
  /** Seconds of runs after which a configuration has no further turn. */
  readonly seconds: number
}

export const measureDefaults: MeasureSettings = {
  turns: 3,
  mostTurns: 8,
  secondsPerTurn: 1.5,
  runsPerTurn: 40,
  tolerance: 0.02,
  seconds: 10,
}

/** Single figures for about a minute's work. */
export const quickSettings: MeasureSettings = {
  turns: 2,
  mostTurns: 2,
  secondsPerTurn: 0.4,
  runsPerTurn: 15,
  tolerance: 0.05,
  seconds: 2,
}

/** What is measured, and the matrix product that it is compared with. */
export interface Configuration {
  readonly probe: Pick<PeakProbe, "measure">
  open(): Promise<Runner>
}

export interface Measured {
  /** Milliseconds of each run. */
  readonly samples: readonly number[]
  /** Milliseconds of the very first run. */
  readonly firstRunMs: number
  readonly isStable: boolean
  /** The matrix product's rate around the runs, in billions of operations a second. */
  readonly peakGflops: number
  readonly driftPercent: number
}

interface MeasureHooks<C> {
  /** Is told of each configuration at its end. */
  readonly onMeasured: (configuration: C, measured: Measured) => void
  readonly progress: Pick<Progress, "update">
  readonly signal?: AbortSignal | undefined
}

/** Throws AbortError at the signal, after the current run. */
export async function measureInTurn<C extends Configuration>(
  configurations: readonly C[],
  settings: MeasureSettings,
  hooks: MeasureHooks<C>,
): Promise<void> {
  let active = configurations.map((configuration) => new Samples(configuration))
  for (let round = 1; active.length > 0; round++) {
    for (const [i, samples] of active.entries()) {
      await samples.turn(settings, hooks.signal)
      hooks.progress.update(configurations.length - active.length, `round ${round}, ${i + 1} of ${active.length}`)
      if (samples.isDone(settings)) hooks.onMeasured(samples.configuration, samples.measured(settings))
    }
    active = active.filter((samples) => !samples.isDone(settings))
  }
}

/** Runs before those that count last so long, or are one. */
const warmUpMilliseconds = 100

class Samples<C extends Configuration> {
  private readonly samples: number[] = []
  private readonly rates: number[] = []
  private firstRunMs: number | null = null
  private turns = 0

  constructor(readonly configuration: C) {}

  async turn({ secondsPerTurn, runsPerTurn }: MeasureSettings, signal: AbortSignal | undefined): Promise<void> {
    const { configuration, rates } = this
    signal?.throwIfAborted()
    rates.push(await configuration.probe.measure())
    const runner = await configuration.open()
    try {
      await this.warmUp(runner)
      const end = performance.now() + 1000 * secondsPerTurn
      for (let runs = 0; runs === 0 || (runs < runsPerTurn && performance.now() < end); runs++) {
        signal?.throwIfAborted()
        this.samples.push(await millisecondsOf(runner))
      }
    } finally {
      await runner.close()
    }
    rates.push(await configuration.probe.measure())
    this.turns++
  }

  isDone({ turns, mostTurns, seconds, tolerance }: MeasureSettings): boolean {
    const milliseconds = this.samples.reduce((sum, sample) => sum + sample, 0)
    if (milliseconds >= 1000 * seconds || this.turns >= mostTurns) return true
    return this.turns >= turns && medianError(this.samples) <= tolerance
  }

  measured({ tolerance }: MeasureSettings): Measured {
    const { samples, rates, firstRunMs } = this
    return {
      samples,
      firstRunMs: firstRunMs!,
      isStable: medianError(samples) <= tolerance,
      peakGflops: median(rates),
      driftPercent: driftPercent(rates[0]!, rates.at(-1)!),
    }
  }

  private async warmUp(runner: Runner): Promise<void> {
    const end = performance.now() + warmUpMilliseconds
    do {
      const milliseconds = await millisecondsOf(runner)
      this.firstRunMs ??= milliseconds
    } while (performance.now() < end)
  }
}

async function millisecondsOf(runner: Runner): Promise<number> {
  const start = performance.now()
  await runner.run()
  return performance.now() - start
}
