/** About how long a run still takes: its stages' shares, at the speed that it has shown so far. */
import type { RunState, StageState, Work } from "./observer.ts"

/** An expected time, no more precise than it is known: "40 s", "7 min". */
export function roughText(seconds: number): string {
  return seconds <= 55 ? `${5 * Math.ceil(seconds / 5)} s` : `${Math.round(seconds / 60)} min`
}

/** Null before anything is known. */
export function secondsLeft(run: RunState): number | null {
  const { stages, work } = run
  const rate = secondsPerShare(run)
  if (rate === null) return null
  return stages.reduce((sum, stage) => sum + leftOf(stage, work, rate), 0)
}

/** 0 to 1, by time. */
export function shareDone(run: RunState): number {
  const left = secondsLeft(run)
  return left === null ? 0 : run.seconds / Math.max(run.seconds + left, Number.EPSILON)
}

/** By the stages that are done; in the first one by what is done of it. Null before that is known. */
export function secondsPerShare({ stages, work }: Pick<RunState, "stages" | "work">): number | null {
  const done = stages.filter(({ state }) => state === "done")
  if (done.length > 0) return sumOf(done, "seconds") / sumOf(done, "share")
  const running = stages.find(({ state }) => state === "running")
  const part = work && work.total > 0 ? work.done / work.total : 0
  return running && part > 0 ? running.seconds / (running.share * part) : null
}

function leftOf({ state, share, seconds }: StageState, work: Work | null, rate: number): number {
  if (state === "done") return 0
  const expected = Math.max(0, share * rate - seconds)
  // A stage may have more work after this one: the embeddings after the captions, another pair of students.
  return state === "running" ? Math.max(expected, work?.secondsLeft ?? 0) : expected
}

function sumOf(stages: readonly StageState[], of: "seconds" | "share"): number {
  return stages.reduce((sum, stage) => sum + stage[of], 0)
}
