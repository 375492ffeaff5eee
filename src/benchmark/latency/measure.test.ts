import { expect, test } from "vitest"
import { type Measured, type MeasureSettings, measureInTurn } from "./measure.ts"

const settings: MeasureSettings = {
  ...{ turns: 2, mostTurns: 2, secondsPerTurn: 5, runsPerTurn: 3, tolerance: 0, seconds: 60 },
}

/** A configuration that writes down what is done with it; a run takes a part of a second, so that one warms up. */
function recorded(name: string, log: string[], rates: number[], run: () => unknown = () => {}) {
  return {
    name,
    probe: { measure: async () => rates.shift()! },
    async open() {
      log.push(`open ${name}`)
      return {
        async run() {
          log.push(`run ${name}`)
          run()
          wait(101)
        },
        close: async () => void log.push(`close ${name}`),
      }
    },
  }
}

function wait(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds)
}

const turn = (name: string) => [`open ${name}`, ...Array(4).fill(`run ${name}`), `close ${name}`]
const hooks = { progress: { update() {} } }

test("configurations have turns one after the other; drift is from before the first run to after the last", async () => {
  const log: string[] = []
  const found = new Map<string, Measured>()
  const slowAtFirst = () => log.length < 3 && wait(100)
  const both = [recorded("a", log, [200, 180, 190, 150], slowAtFirst), recorded("b", log, [100, 100, 100, 110])]
  await measureInTurn(both, settings, { ...hooks, onMeasured: ({ name }, measured) => found.set(name, measured) })
  expect(log).toEqual([...turn("a"), ...turn("b"), ...turn("a"), ...turn("b")])
  const { samples, firstRunMs, driftPercent, peakGflops, isStable } = found.get("a")!
  expect({ driftPercent, peakGflops, isStable }).toEqual({ driftPercent: -25, peakGflops: 185, isStable: false })
  expect(found.get("b")!.driftPercent).toBeCloseTo(10, 12)
  // The run that warms up in each turn is not among them.
  expect(samples).toHaveLength(6)
  for (const milliseconds of samples) expect(milliseconds).toBeGreaterThan(100)
  expect(firstRunMs).toBeGreaterThan(200)
})

test("one that is stable, or whose time is over, has no further turn", async () => {
  const log: string[] = []
  const order: string[] = []
  const many = { ...settings, turns: 1, mostTurns: 9, runsPerTurn: 2, tolerance: 1e9 }
  const [quiet, other] = [recorded("a", log, Array(6).fill(1)), recorded("b", log, Array(6).fill(1))]
  await measureInTurn([quiet, other], many, { ...hooks, onMeasured: ({ name }) => order.push(name) })
  // Six samples are the fewest that a median's error is known of: three turns of two.
  expect(log.filter((line) => line === "open a")).toHaveLength(3)
  expect(order).toEqual(["a", "b"])
  log.length = 0
  const short = { ...many, seconds: 0.1 }
  await measureInTurn([recorded("c", log, [1, 1])], short, { ...hooks, onMeasured() {} })
  expect(log.filter((line) => line === "open c")).toHaveLength(1)
})

test("a signal ends it after the current run, and what is open is closed", async () => {
  const log: string[] = []
  const controller = new AbortController()
  const one = recorded("a", log, [1, 1], () => controller.abort())
  const ended = measureInTurn([one], settings, { ...hooks, onMeasured() {}, signal: controller.signal })
  await expect(ended).rejects.toMatchObject({ name: "AbortError" })
  expect(log).toEqual(["open a", "run a", "close a"])
})
