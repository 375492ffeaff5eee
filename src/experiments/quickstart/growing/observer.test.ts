import { expect, test } from "vitest"
import { UserError } from "../../../core/errors.ts"
import { noProgress } from "../../../core/progress.ts"
import { RunObserver } from "./observer.ts"
import { plannedStages } from "./stages.ts"
import { roughText, secondsLeft, shareDone } from "./time-left.ts"

const plan = [
  { name: "render", happens: "Pictures are rendered", share: 10 },
  { name: "teachers", happens: "Teachers learn", share: 30 },
  { name: "students", happens: "Students learn", share: 60 },
]

function observed(earlier: readonly { name: string; seconds: number }[] = []) {
  let time = 0
  const events: string[] = []
  const observer = new RunObserver(
    plan,
    earlier,
    (event) => events.push(event),
    () => time,
  )
  const pass = (seconds: number) => {
    time += seconds
  }
  return { observer, events, pass }
}

test("stages wait, run and are done, with the seconds that they took", () => {
  const { observer, events, pass } = observed()
  observer.stageBegins("render")
  pass(20)
  observer.stageEnds("render")
  observer.stageBegins("teachers")
  pass(5)
  const { stages, seconds, earlierSeconds, end } = observer.state()
  expect(stages.map(({ name, state, seconds }) => [name, state, seconds])).toEqual([
    ["render", "done", 20],
    ["teachers", "running", 5],
    ["students", "waiting", 0],
  ])
  expect({ seconds, earlierSeconds, end }).toEqual({ seconds: 25, earlierSeconds: 0, end: null })
  expect(events).toEqual(["turn", "turn", "turn"])
  expect(observer.times()).toEqual([
    { name: "render", seconds: 20 },
    { name: "teachers", seconds: 5 },
  ])
})

test("progress reaches both, and says how long its work still takes", () => {
  const { observer, events, pass } = observed()
  const shown: number[] = []
  const start = observer.watching(() => ({ update: (done) => shown.push(done), done() {} }))
  observer.stageBegins("teachers")
  const progress = start("a + b", 100, { unit: "samples" })
  expect(observer.state().work).toMatchObject({ label: "a + b", done: 0, total: 100, secondsLeft: null })
  progress.update(10)
  pass(4)
  progress.update(30, "loss 2.1")
  expect(shown).toEqual([10, 30])
  expect(observer.state().work).toEqual({
    ...{ label: "a + b", done: 30, total: 100, unit: "samples", detail: "loss 2.1", secondsLeft: 14 },
  })
  expect(events).toEqual(["turn", "progress", "progress"])
  observer.stageEnds("teachers")
  expect(observer.state().work).toBeNull()
})

test("a run that goes on knows the stages' times before it", () => {
  const { observer, pass } = observed([
    { name: "render", seconds: 20 },
    { name: "teachers", seconds: 33 },
  ])
  observer.stageBegins("render")
  pass(1)
  observer.stageEnds("render")
  observer.stageBegins("teachers")
  pass(7)
  const { stages, seconds, earlierSeconds } = observer.state()
  expect(stages.map(({ seconds }) => seconds)).toEqual([21, 40, 0])
  expect({ seconds, earlierSeconds }).toEqual({ seconds: 61, earlierSeconds: 53 })
})

test("an end is an interruption, or a failure with its reason and what to do", () => {
  const interrupted = observed().observer
  interrupted.stops(new DOMException("stopped", "AbortError"))
  expect(interrupted.state().end).toEqual({ kind: "interrupted" })
  const failed = observed().observer
  failed.stops(new UserError("the disk is full", "free some space"))
  expect(failed.state().end).toEqual({ kind: "failed", why: "the disk is full; free some space" })
  failed.stops(new Error("invariant: no"))
  expect(failed.state().end).toEqual({ kind: "failed", why: "invariant: no" })
})

test("what is left follows from the shares and the speed so far", () => {
  const { observer, pass } = observed()
  expect(secondsLeft(observer.state())).toBeNull()
  expect(shareDone(observer.state())).toBe(0)
  const work = observer.watching(noProgress)
  observer.stageBegins("render")
  const progress = work("render", 100, { unit: "pictures" })
  progress.update(1)
  pass(10)
  progress.update(51)
  // Half of the first stage in 10 s: 20 s for a share of 10, so 2 s each.
  expect(secondsLeft(observer.state())).toBeCloseTo(9.8 + 2 * (10 / (0.51 * 10) / 2) * 90, 6)
  pass(10)
  observer.stageEnds("render")
  expect(secondsLeft(observer.state())).toBe(180)
  observer.stageBegins("teachers")
  pass(20)
  expect(secondsLeft(observer.state())).toBe(160)
  expect(shareDone(observer.state())).toBe(0.2)
  const slower = observer.watching(noProgress)("a + b", 100, { unit: "samples" })
  slower.update(0)
  pass(10)
  slower.update(10)
  // 90 s of this work are left, where 30 of the stage were expected.
  expect(secondsLeft(observer.state())).toBe(90 + 120)
  slower.update(100)
  expect(secondsLeft(observer.state())).toBe(30 + 120)
  // Slower than expected: nothing is left of it, rather than less than nothing.
  pass(100)
  expect(secondsLeft(observer.state())).toBe(120)
})

test("an expected time is told in fives of seconds, then in minutes", () => {
  expect([0, 2, 41, 55, 56, 100, 3700].map(roughText)).toEqual([
    "0 s",
    "5 s",
    "45 s",
    "55 s",
    "1 min",
    "2 min",
    "62 min",
  ])
})

test("more students take more of the time", () => {
  const share = (seeds: number, scheduled: readonly number[] = []) =>
    plannedStages(seeds, scheduled).find(({ name }) => name === "students")!.share
  expect(share(2)).toBe(2 * share(1))
  // A quarter and a half of the steps of plain students, which train in pairs.
  expect(share(3, [0.25, 0.5])).toBeCloseTo(3 * 1.375 * share(1))
})
