import { spawn } from "node:child_process"
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import sharp from "sharp"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { pictureSamples, writeSamples } from "../../../test/training-samples.ts"
import { readMetrics } from "../../train/log/metrics.ts"
import { main } from "../main.ts"

const folder = await mkdtemp(join(tmpdir(), "mobileclip-train-"))
const shard = join(folder, "00000.tar")
beforeAll(async () => writeSamples(shard, await pictureSamples(24)))
afterAll(() => rm(folder, { recursive: true, force: true }))

const short = ["--model", "quickstart", "--threads", "1", "--progress", "none", "batch.size=8", "schedule.warmup=1"]
const distilled = ["--dataset-reinforcement", "loss.kind=distill", "loss.weights=[0,1]", "loss.teacherScales=[70,60]"]

async function run(...argv: string[]) {
  const out: string[] = []
  const err: string[] = []
  const code = await main(["train", ...argv], undefined, {
    out: (text) => out.push(text),
    err: (text) => err.push(text),
  })
  return { code, out: out.join(""), err: err.join("") }
}

describe("mobileclip train", { timeout: 120_000 }, () => {
  test("a reinforced run leaves checkpoint, metrics, events, recipe, report and a model directory", async () => {
    const out = join(folder, "reinforced")
    const argv = ["--train-data", shard, "--out", out, ...short, ...distilled, "schedule.steps=3", "--json"]
    const { code, out: printed } = await run(...argv, "--export", join(out, "model"))
    expect(code).toBe(0)
    expect(JSON.parse(printed)).toMatchObject({ steps: 3, samplesSeen: 24, exported: join(out, "model") })
    const losses = (await readMetrics(join(out, "metrics.jsonl"))).map((entry) => "losses" in entry && entry.losses)
    // Lambda is 1: the contrastive loss is there and does not count.
    expect(losses).toEqual(Array(3).fill({ contrastive: 0, distillation: expect.any(Number) }))
    const recipe = JSON.parse(await readFile(join(out, "config.json"), "utf8"))
    expect(recipe).toMatchObject({ model: "quickstart", data: { view: "stored" }, loss: { kind: "distill" } })
    expect(await readdir(out)).toEqual(
      expect.arrayContaining(["checkpoints", "model.safetensors", "report.html", "tensorboard"]),
    )
    expect(await readdir(join(out, "model"))).toContain("mobileclip.json")
  })

  test("a finished run is refused, and resumed it is kept", async () => {
    const argv = ["--train-data", shard, "--out", join(folder, "reinforced"), ...short, ...distilled]
    expect(await run(...argv, "schedule.steps=3")).toMatchObject({
      code: 1,
      err: expect.stringContaining("holds a training run already"),
    })
    expect(
      await run("--out", join(folder, "reinforced"), "--resume", "--threads", "1", "--progress", "none"),
    ).toMatchObject({ code: 0 })
    const other = await run(...argv, "--resume", "schedule.steps=4")
    expect(other).toMatchObject({ code: 1, err: expect.stringContaining("was made with steps 3 (now 4)") })
  })

  test("SigLIP's loss learns its bias, and teachers may run along instead of being stored", async () => {
    const out = join(folder, "siglip")
    const teacher = join(folder, "reinforced", "model.safetensors")
    const argv = ["--train-data", shard, "--out", out, ...short, "schedule.steps=2", "loss.kind=siglip"]
    const online = [`teachers=["${teacher}","${teacher}"]`, "loss.weights=[0.5,0.5]", "loss.teacherScales=[20,20]"]
    expect(await run(...argv, ...online, "loss.teacherBiases=[-5,-5]")).toMatchObject({ code: 0, err: "" })
    const [first] = await readMetrics(join(out, "metrics.jsonl"))
    expect(first).toMatchObject({ losses: { contrastive: expect.any(Number), distillation: expect.any(Number) } })
  })

  test("scores class folders along the way, with a locked tower and an average", async () => {
    const tasks = join(folder, "tasks")
    for (const [name, background] of [
      ["red", "#f00"],
      ["blue", "#00f"],
    ] as const) {
      await mkdir(join(tasks, name), { recursive: true })
      const create = { width: 32, height: 32, channels: 3, background } as const
      await sharp({ create })
        .png()
        .toFile(join(tasks, name, "0.png"))
    }
    const out = join(folder, "scored")
    const argv = ["--train-data", shard, "--out", out, ...short, "schedule.steps=2", 'lock=["image"]', "ema=0.9"]
    expect(await run(...argv, `evaluate.tasks=${tasks}`, "evaluate.every=1")).toMatchObject({ code: 0 })
    const entries = await readMetrics(join(out, "metrics.jsonl"))
    const scores = entries.flatMap((entry) => ("tasks" in entry ? [[entry.step, Object.keys(entry.tasks)]] : []))
    expect(scores).toEqual([
      [1, ["tasks"]],
      [2, ["tasks"]],
    ])
  })

  test("SIGTERM saves behind the step and exits 143; the run goes on from there", async () => {
    const out = join(folder, "stopped")
    const argv = ["--train-data", shard, "--out", out, ...short, "schedule.steps=500"]
    const child = spawn(process.execPath, ["bin/mobileclip.js", "train", ...argv], { stdio: "ignore" })
    const code = new Promise((resolve) => child.once("exit", resolve))
    while ((await readMetrics(join(out, "metrics.jsonl"))).length < 2) await sleep(50)
    child.kill("SIGTERM")
    expect(await code).toBe(143)
    const made = (await readMetrics(join(out, "metrics.jsonl"))).at(-1)!.step
    expect(await readdir(join(out, "checkpoints"))).toEqual([`step-${String(made).padStart(8, "0")}.safetensors`])
  })

  test("bad input is one line that says what to do", async () => {
    const out = ["--out", join(folder, "none"), ...short]
    const cases: [string[], string][] = [
      [["--train-data", join(folder, "nothing"), ...out], "nothing"],
      [["--train-data", shard, ...out, "--model", "quickstrat"], 'there is no model named "quickstrat"'],
      [["--train-data", shard, ...out, "schedule.step=3"], "steps"],
      [
        [
          "--train-data",
          shard,
          ...out,
          "loss.kind=distill",
          "loss.weights=[0,1]",
          "loss.teacherScales=[70,60]",
          "schedule.steps=1",
        ],
        "teacher",
      ],
      [["--train-data", shard, ...out, "evaluate.tasks=/nowhere", "schedule.steps=1"], "no such task list"],
      [out, "name the data"],
    ]
    for (const [argv, text] of cases) {
      const { code, err } = await run(...argv)
      expect([code, err]).toEqual([1, expect.stringContaining(text)])
      expect(err.trim().split("\n").length).toBeLessThanOrEqual(2)
    }
  })

  test("a checkpoint cut short is refused by name, not trained on", async () => {
    const out = join(folder, "cut")
    await cp(join(folder, "reinforced"), out, { recursive: true })
    const [name] = await readdir(join(out, "checkpoints"))
    const path = join(out, "checkpoints", name!)
    await writeFile(path, (await readFile(path)).subarray(0, 5000))
    expect(await run("--out", out, "--resume", "--progress", "none")).toMatchObject({
      code: 1,
      err: expect.stringContaining(name!),
    })
  })
})
