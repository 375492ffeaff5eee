import { expect, test } from "vitest"
import { ofLongWork } from "../core/progress.ts"
import { durationText, rateText } from "../report/numbers.ts"
import { barText, type ProgressMode, plainText, progressReporter } from "./progress.ts"

const state = { label: "train", done: 300, total: 1200, unit: "steps", rate: 6, detail: "loss 2.31" }

test("durations", () => {
  const texts = [0, 0.04, 7.44, 9.96, 59.4, 59.6, 200, 3599.4, 3600, 7500].map(durationText)
  expect(texts).toEqual([
    "0.0 s",
    "0.0 s",
    "7.4 s",
    "10 s",
    "59 s",
    "1 min 00 s",
    "3 min 20 s",
    "59 min 59 s",
    "1 h 00 min",
    "2 h 05 min",
  ])
})

test("rates", () => {
  expect([335.4, 6.25, 0.5, 0.1].map(rateText)).toEqual(["335/s", "6.3/s", "30/min", "6.0/min"])
})

test("a bar fits the terminal", () => {
  expect(barText(state, 120)).toBe(
    "train      ██████░░░░░░░░░░░░░░░░░░  25%  300/1200 steps  6.0/s  2 min 30 s left  loss 2.31",
  )
  expect(barText(state, 40)).toHaveLength(39)
  expect(barText(state, 80)).toBe("train      ███░░░░░░░░░  25%  300/1200 steps  6.0/s  2 min 30 s left  loss 2.31")
})

test("without a rate there is no guess at the time left", () => {
  expect(plainText({ ...state, rate: 0 })).toBe("train: 300/1200 steps (25%), loss 2.31")
  expect(plainText(state)).toBe("train: 300/1200 steps (25%), 6.0/s, 2 min 30 s left, loss 2.31")
})

/** 100 units, one every 0.5 s, the first one at 20 s. */
function play(mode: ProgressMode, isTTY: boolean): string[] {
  const written: string[] = []
  let seconds = 0
  const start = progressReporter(mode, { write: (text) => written.push(text), isTTY, columns: 100 }, () => seconds)
  const progress = start("render", 100, { unit: "pictures" })
  for (let i = 1; i <= 100; i++) {
    seconds = 19.5 + i * 0.5
    progress.update(i)
  }
  progress.done("12 MB")
  return written
}

test("plain: a line every 10 s and one at the end; the rate leaves out the start", () => {
  expect(play("auto", false)).toEqual([
    "render: 1/100 pictures (1%)\n",
    "render: 21/100 pictures (21%), 2.0/s, 40 s left\n",
    "render: 41/100 pictures (41%), 2.0/s, 30 s left\n",
    "render: 61/100 pictures (61%), 2.0/s, 20 s left\n",
    "render: 81/100 pictures (81%), 2.0/s, 9.5 s left\n",
    "render: 100 pictures in 1 min 10 s (1.4/s), 12 MB\n",
  ])
})

test("a bar is redrawn on its line and replaced by a last line", () => {
  const written = play("auto", true)
  expect(written).toHaveLength(101)
  expect(written.at(-2)).toBe(`\r\x1b[Krender     ${"█".repeat(24)} 100%  100/100 pictures  2.0/s  0.0 s left`)
  expect(written.at(-1)).toBe("\r\x1b[Krender: 100 pictures in 1 min 10 s (1.4/s), 12 MB\n")
})

test("one is not counted in the plural", () => {
  const written: string[] = []
  const start = progressReporter("plain", { write: (text) => written.push(text), isTTY: false, columns: 80 }, () => 0)
  for (const unit of ["shards", "pictures", "processes"]) {
    const progress = start("stats", 1, { unit })
    progress.update(1)
    progress.done()
  }
  const ends = written.filter((line) => line.includes(" in "))
  expect(ends.map((line) => line.replace(/ in .*\n$/, ""))).toEqual(
    ["shard", "picture", "process"].map((unit) => `stats: 1 ${unit}`),
  )
})

test("work that goes on has the rate of what was done since", () => {
  const written: string[] = []
  let seconds = 0
  const output = { write: (text: string) => written.push(text), isTTY: false, columns: 80 }
  const progress = progressReporter("plain", output, () => seconds)("train", 6400, { unit: "samples", from: 4400 })
  seconds = 20
  progress.update(6400)
  progress.done("loss 2.3")
  expect(written.at(-1)).toBe("train: 6400 samples, 2000 of them in 20 s (100/s), loss 2.3\n")
  progressReporter("plain", output, () => seconds)("train", 6400, { unit: "samples", from: 6400 }).done()
  expect(written.at(-1)).toBe("train: 6400 samples, 0 of them in 0.0 s\n")
})

test("json: one object a line", () => {
  expect(JSON.parse(play("json", true)[1]!)).toEqual({
    label: "render",
    done: 3,
    total: 100,
    unit: "pictures",
    rate: 2,
    secondsLeft: 48.5,
  })
})

test("none", () => {
  expect(play("none", true)).toEqual([])
})

test("labels and details are printable", () => {
  let text = ""
  const start = progressReporter("plain", { write: (part) => (text += part) }, () => 0)
  start("a\x1b[2J", 1, { unit: "pictures" }).done("\u202e\n")
  expect(text).toBe("a\\x1b[2J: 0 pictures in 0.0 s, \\u202e\\n\n")
})

test("of work that is mostly short nothing is shown before some seconds are over, and then all", () => {
  const lines: string[] = []
  let time = 0
  const stream = { write: (text: string) => lines.push(text) }
  const start = ofLongWork(
    progressReporter("plain", stream, () => time),
    3,
    () => time,
  )
  const short = start("pictures", 10, { unit: "pictures" })
  for (time = 0; time < 3; time++) short.update(time)
  short.done()
  expect(lines).toEqual([])
  const long = start("pictures", 100, { unit: "pictures" })
  const began = time
  for (; time <= began + 20; time++) long.update(time - began)
  long.done()
  expect(lines.map((line) => line.replace(/,.*/s, ""))).toEqual([
    "pictures: 13/100 pictures (13%)",
    "pictures: 20 pictures in 21 s (57/min)\n",
  ])
})
