import { execFileSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import type { RecipeRunSummary } from "../../train/run/recipe-run.ts"
import { endingText, howToGoOn } from "./ending.ts"

const made: RecipeRunSummary = {
  ...{
    checkpoint: "my runs/a/model.safetensors",
    report: "my runs/a/report.html",
    tensorboard: "my runs/a/tensorboard",
  },
  ...{
    model: "quickstart",
    steps: 2000,
    resumedAt: 0,
    samplesSeen: 128_000,
    samplesPerSecond: 207.3,
    finalLoss: 1.23456,
    mixSynthetic: null,
  },
}
const lines = (more: Partial<RecipeRunSummary> = {}, isCaptioner = false) =>
  endingText({ ...made, ...more }, { out: "my runs/a", isCaptioner }).split("\n")

test("what came out, where it is, and the next commands, safe to paste", () => {
  expect(lines()).toEqual([
    "2,000 steps: 128,000 pairs seen, 207 a second; loss 1.235",
    "",
    "accuracy was not measured: --evaluate TASKS does, along the way; a folder of class folders is such a task",
    "",
    "weights: my runs/a/model.safetensors",
    "report:  my runs/a/report.html",
    "curves:  tensorboard --logdir 'my runs/a/tensorboard'",
    "next:    mobileclip export 'my runs/a/model.safetensors' --out 'my runs/a/model'",
  ])
})

test("accuracy beside chance, with the mean of several tasks", () => {
  const scored = lines({ zeroShot: { colour: 0.5, shape: 0.25 }, chance: { colour: 0.1 }, resumedAt: 500 })
  expect(scored[0]).toContain("2,000 steps, from step 500 on: ")
  expect(scored.slice(2, 6)).toEqual([
    "zero-shot  accuracy  chance",
    "colour       50.0 %  10.0 %",
    "shape        25.0 %",
    "mean         37.5 %",
  ])
})

test("an exported model is used next: a captioner for captions", () => {
  expect(lines({ exported: "m" }).at(-1)).toBe("next:    mobileclip classify PICTURE --model m --labels cat,dog")
  expect(lines({ exported: "m" }, true).at(-1)).toBe("next:    mobileclip caption PICTURE --model m")
})

test("captions that nobody wrote are said", () => {
  const said = lines({ mixSynthetic: 1 })
  expect(said[said.indexOf("weights: my runs/a/model.safetensors") - 1]).toBe("captions: synthetic ones alone")
})

test("a run that was finished before says so, and how there are more steps", () => {
  const said = lines({ resumedAt: 2000 })
  expect(said[0]).toBe("the run in my runs/a was finished before: it has all of its 2,000 steps")
  expect(said).toContain(
    "longer:  mobileclip train --recipe 'my runs/a/config.json' --pretrained 'my runs/a/model.safetensors' --steps 2000 --out 'my runs/a-longer'",
  )
})

let out: string
beforeAll(() => {
  out = join(mkdtempSync(join(tmpdir(), "ending-")), "it's a $(run)")
  mkdirSync(join(out, "checkpoints"), { recursive: true })
  writeFileSync(join(out, "checkpoints", "step-00001200.safetensors"), "")
})
afterAll(() => rmSync(join(out, ".."), { recursive: true }))

/** The words of the last line as a shell reads them. */
function wordsOf(text: string | null): string[] {
  const line = text!.split("\n").at(-1)!.trim()
  return execFileSync("sh", ["-c", `for word in ${line}; do printf '%s\\n' "$word"; done`], { encoding: "utf8" })
    .trim()
    .split("\n")
}

test("an interrupted run goes on with a command to paste, with the given options of the machine", async () => {
  const argv = ["--recipe", "dfndr-12m", "--train-data", "x", "--nproc", "2", "--out", out, "--device=cuda", "a.b=1"]
  const text = await howToGoOn({ out, nproc: 2 }, argv, {})
  expect(text).toMatch(/^saved after step 1,200; to go on:\n/)
  expect(wordsOf(text)).toEqual(["mobileclip", "train", "--out", out, "--resume", "--nproc", "2", "--device=cuda"])
})

test("before the first checkpoint the same command begins again", async () => {
  const argv = ["--train-data", "my data", "--out", join(out, "new")]
  const text = await howToGoOn({ out: join(out, "new"), nproc: 1 }, argv, {})
  expect(text).toMatch(/^stopped before there was a checkpoint; to go on:/)
  expect(wordsOf(text)).toEqual(["mobileclip", "train", ...argv])
})

test("ranks of other launchers say it once, and for all processes; ranks of our own leave it to their launcher", async () => {
  const launch = { out, nproc: 1 }
  expect(await howToGoOn(launch, [], { RANK: "1", WORLD_SIZE: "2" })).toBeNull()
  expect(await howToGoOn(launch, [], { MOBILECLIP_LAUNCHER: "7", RANK: "0", WORLD_SIZE: "2" })).toBeNull()
  expect(await howToGoOn(launch, [], { RANK: "0", WORLD_SIZE: "2" })).toMatch(
    /^saved .*, in all processes again; to go/,
  )
})
