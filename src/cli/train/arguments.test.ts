import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, test } from "vitest"
import { recipeNamed, saveRecipe } from "../../train/recipe/load.ts"
import { applyOverrides } from "../../train/recipe/overrides.ts"
import { recipeKeys } from "../../train/recipe/parse.ts"
import { defaultRecipe, type Recipe } from "../../train/recipe/schema.ts"
import { type Environment, parseTrainArguments } from "./arguments.ts"
import { dryRun } from "./dry-run.ts"
import { jointFlags, recipeFlags } from "./flags.ts"
import { resolveRecipe } from "./resolve.ts"

const parse = (line: string, env: Environment = {}) => parseTrainArguments(line.split(" ").filter(Boolean), env)

/** The recipe that a command line makes of the defaults. */
function recipeOf(line: string, env: Environment = {}): Recipe {
  return applyOverrides(defaultRecipe, parse(`--out x ${line}`, env).overrides, "defaults")
}

test("the README's commands", () => {
  const { recipe, launch } = parse("--train-data data/scenes/train --out runs/mine --epochs 4")
  expect(recipe).toBeNull()
  expect(launch).toMatchObject({ out: "runs/mine", resume: null, nproc: 1, ranks: 1, device: "cpu", logEvery: 1 })
  expect(recipeOf("--train-data data/scenes/train --epochs 4")).toMatchObject({
    data: { train: "data/scenes/train" },
    schedule: { epochs: 4, steps: null, warmup: null },
  })
})

test("open_clip's flags", () => {
  const line = "--lr=2e-3 --wd 0.1 --beta2 0.98 --warmup 10 --precision amp --dataset-type webdataset --seed 3"
  const recipe = recipeOf(`${line} --dataset-resampled --train-num-samples 1000 --grad-checkpointing --lock-text`)
  expect(recipe).toMatchObject({
    schedule: { learningRate: 2e-3, warmup: 10 },
    optimizer: { weightDecay: 0.1, beta2: 0.98 },
    data: { format: "shards", resampled: true, samples: 1000 },
    ...{ precision: "amp_fp16", activationCheckpointing: true, lock: ["text"], seed: 3 },
  })
})

test("Apple's flags; lists leave key=value alone", () => {
  const line = "--dataset-reinforcement --distill-loss-weights 0 1 --distill-logit-scale 70 60 schedule.steps=9000"
  expect(recipeOf(line)).toMatchObject({
    data: { reinforced: true, view: "stored" },
    loss: { kind: "distill", weights: [0, 1], teacherScales: [70, 60], averageAfterSoftmax: true },
    schedule: { steps: 9000 },
  })
})

test("--batch-size is per rank, --global-batch-size over all, --accum-freq encodes in parts", () => {
  expect(recipeOf("--batch-size 32 --nproc 2").batch).toEqual({ size: 64, chunk: null })
  expect(recipeOf("--batch-size 32", { WORLD_SIZE: "8" }).batch.size).toBe(256)
  expect(recipeOf("--batch-size 32", { SLURM_PROCID: "0", SLURM_NTASKS: "4" }).batch.size).toBe(128)
  expect(recipeOf("--batch-size 32", { SLURM_NTASKS: "4" }).batch.size).toBe(32)
  expect(recipeOf("--global-batch-size 96 --chunk-size 12 --nproc 2").batch).toEqual({ size: 96, chunk: 12 })
  expect(recipeOf("--batch-size 16 --accum-freq 4").batch).toEqual({ size: 64, chunk: 16 })
  expect(() => parse("--out x --batch-size 8 --global-batch-size 8")).toThrow("give one of them")
})

test("--resume, with and without a checkpoint, before key=value", () => {
  expect(parse("--out x --resume").launch.resume).toBe("latest")
  expect(parse("--out x --resume latest").launch.resume).toBe("latest")
  expect(parse("--out x --resume runs/a/step-100.safetensors").launch.resume).toBe("runs/a/step-100.safetensors")
  const { launch, overrides } = parse("--out x --resume save.every=5")
  expect(launch.resume).toBe("latest")
  expect(overrides).toEqual([{ key: "save.every", value: 5, source: "save.every=5" }])
})

test.each([
  ["--lr fast", '--lr: schedule.learningRate should be a number, not "fast"'],
  ["--precision bf16", '--precision: precision should be one of fp32, amp_bf16, amp_fp16, not "bf16"'],
  ["--dataset-type tfrecord", "--dataset-type: data.format should be one of auto, shards"],
  ["--batch-size 2.5", "--batch-size should be a whole number from 1 on, not 2.5"],
  ["--batch-size 1", "--batch-size: batch.size should be a number from 2 on, not 1"],
  ["--steps 5 --epochs 2", "--epochs: schedule.steps and schedule.epochs both say how long the run is"],
  ["schedule.step=5", 'schedule.step=5: there is no key "schedule.step"'],
  ["steps", '"steps" is no key=value'],
])("%s is an error that says where", (line, message) => {
  expect(() => recipeOf(line)).toThrow(message)
})

test("a run needs a folder, a dry run does not", () => {
  expect(() => parse("--recipe mobileclip2-s0")).toThrow("--out is missing")
  expect(parse("--recipe mobileclip2-s0 --dry-run").launch).toMatchObject({ dryRun: true, out: null })
  expect(parse("--print-config --json").launch).toMatchObject({ printConfig: true, json: true })
})

test("every flag of the table sets keys that are there", () => {
  for (const { flags, set } of recipeFlags) {
    for (const key of Object.keys(set("1"))) expect(recipeKeys(), flags).toContain(key)
  }
  const flags = [...recipeFlags, ...jointFlags].map(({ flags }) => flags.split(" ")[0])
  expect(new Set(flags).size).toBe(flags.length)
})

test("flags and changes go on top of a named recipe; a resumed run keeps its own", async () => {
  const named = await resolveRecipe(parse("--recipe dfndr-12m --out x --train-data a.tar --wd 0.1 ema=0.999"))
  expect(named).toMatchObject({ model: "mobileclip2-b", ema: 0.999, optimizer: { weightDecay: 0.1 } })
  const folder = mkdtempSync(join(tmpdir(), "train-"))
  await saveRecipe(folder, named)
  const resumed = await resolveRecipe(parse(`--out ${folder} --resume save.keep=7`))
  expect(resumed).toEqual({ ...named, save: { ...named.save, keep: 7 } })
  await expect(resolveRecipe(parse("--recipe dfndr-12m --out x"))).rejects.toThrow("dfndr-12m: data.train is missing")
  expect((await recipeNamed("dfndr-12m")).recipe.data.train).toBeNull()
})

test("a dry run of a recipe, without data", async () => {
  const args = parse("--recipe mobileclip2-s0 --dry-run --samples-per-second 50000 --nproc 8 --global-batch-size 65536")
  const { plan, text } = await dryRun(await resolveRecipe(args), args.launch, null)
  expect(plan).toMatchObject({ ranks: 8, batch: { perRank: 8192 }, length: { steps: 200_000 } })
  expect(plan.time).toEqual({ kind: "measured", seconds: 262_144, samplesPerSecond: 50_000 })
  expect(text()).toContain("3.0 days at 50000/s pairs")
})
