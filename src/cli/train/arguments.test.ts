import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { Command } from "commander"
import { expect, test } from "vitest"
import { recipeNamed, saveRecipe } from "../../train/recipe/load.ts"
import { applyOverrides } from "../../train/recipe/overrides.ts"
import { recipeKeys } from "../../train/recipe/parse.ts"
import { lossWeights } from "../../train/recipe/resolved.ts"
import { defaultRecipe, type Recipe } from "../../train/recipe/schema.ts"
import { workersFor } from "../../train/run/recipe-run.ts"
import { addTrainOptions, type Environment, type TrainArguments, trainArgumentsOf } from "./arguments.ts"
import { dryRun } from "./dry-run.ts"
import { jointFlags, recipeFlags } from "./flags.ts"
import { refusedFlags } from "./refused-flags.ts"
import { checkCount, resolveRecipe, withoutProcesses } from "./run.ts"

function parse(line: string, env: Environment = {}): TrainArguments {
  const command = addTrainOptions(new Command("train"))
    .exitOverride()
    .configureOutput({ writeErr: () => {} })
  command.parse(line.split(" ").filter(Boolean), { from: "user" })
  return trainArgumentsOf(command, env)
}

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
  const recipe = recipeOf(
    `${line} --dataset-resampled --train-num-samples 1000 --grad-checkpointing --lock-text --pretrained a`,
  )
  expect(recipe).toMatchObject({
    schedule: { learningRate: 2e-3, warmup: 10 },
    optimizer: { weightDecay: 0.1, beta2: 0.98 },
    data: { format: "shards", resampled: true, samples: 1000 },
    ...{ precision: "amp_fp16", activationCheckpointing: true, lock: ["text"], start: "a", seed: 3 },
  })
})

test("Apple's flags; lists leave key=value alone", () => {
  const line = "--dataset-reinforcement --distill-loss-weights 0 1 --distill-logit-scale 70 60 schedule.steps=9000"
  expect(recipeOf(line)).toMatchObject({
    data: { reinforced: true, view: null },
    loss: { kind: "distill", weights: [0, 1], teacherScales: [70, 60], averageAfterSoftmax: true },
    schedule: { steps: 9000 },
  })
})

test("teachers given by flags mean distillation alone; given weights stay", () => {
  const taught = recipeOf("--distill-model ViT-L-14 --distill-pretrained runs/a runs/b --distill-logit-scale 70 60")
  expect(taught).toMatchObject({ teachers: ["runs/a", "runs/b"], loss: { kind: "distill" } })
  expect(lossWeights(taught)).toEqual([0, 1])
  const weighted = recipeOf("--distill-model runs/a --distill-logit-scale 70 --distill-loss-weights 0.25 0.75")
  expect(lossWeights(weighted)).toEqual([0.25, 0.75])
})

test("Apple's other flags", () => {
  const reinforced = "--dataset-reinforcement --dataset-reinforcement-mix-synthetic"
  expect(recipeOf(reinforced).data).toMatchObject({ reinforced: true, mixSynthetic: 0 })
  expect(recipeOf(`${reinforced} --dataset-reinforcement-mix-synthetic-ratio 0.3`).data.mixSynthetic).toBe(0.3)
  const scales = "--dataset-reinforcement --distill-loss-weights 0 1 --distill-logit-scale 70 60"
  expect(recipeOf(`${scales} --distill-teacher-dimension 768 512`).data.teacherWidths).toEqual([768, 512])
  expect(recipeOf(`${scales} --distill-teacher-dimension -1`).data.teacherWidths).toEqual([])
})

test("a captioner's weights are its loss; columns of CSV; one tower's statistics", () => {
  const line = "--model coca_ViT-L-14 --coca-caption-loss-weight 1 --coca-contrastive-loss-weight 0.5"
  expect(recipeOf(line)).toMatchObject({
    model: "coca-vit-l-14",
    loss: { kind: "coca", captionWeight: 1, contrastiveWeight: 0.5 },
  })
  const columns = recipeOf(
    "--csv-img-key file --csv-caption-key title --csv-separator ; --local-loss --gather-with-grad",
  )
  expect(columns.data).toMatchObject({ imageColumn: "file", captionColumn: "title", separator: ";" })
  expect(recipeOf("--lock-image-freeze-bn-stats").frozenStatistics).toEqual(["image"])
})

test.each(Object.entries(refusedFlags))("%s of open_clip or Apple says what to do", (flag, hint) => {
  const error = expect.objectContaining({ message: `${flag} is not a flag of this trainer`, hint })
  expect(() => parse(`--out x ${flag} 1`)).toThrow(error)
})

test("the errors for the released script of DFNDR-12M name the flags to leave out; without them it is a recipe", () => {
  const kept =
    "--local-loss --gather-with-grad --grad-checkpointing --train-data a.tar --train-num-samples 12288000 --warmup 1000 --dataset-type webdataset --precision amp --workers 20 --model MobileCLIP2-B --batch-size 256 --epochs 20 --lr 1.e-3 --seed 0 --accum-freq 1 --log-every-n-steps 20 --beta2 0.95 --wd 0.2 --dataset-resampled --grad-clip-norm 1.0 --dataset-reinforcement --distill-logit-scale 70. 60. --distill-loss-weights 0.0 1.0 --distill-teacher-dimension 768 768 --distill-average-after-softmax"
  expect(recipeOf(kept)).toMatchObject({
    ...{ model: "mobileclip2-b", precision: "amp_fp16", activationCheckpointing: true },
    data: { format: "shards", reinforced: true, teacherWidths: [768, 768], workers: 20 },
    loss: { kind: "distill", weights: [0, 1], teacherScales: [70, 60], averageAfterSoftmax: true },
    schedule: { epochs: 20, warmup: 1000, learningRate: 1e-3 },
  })
  expect(() => parse(`--out x ${kept} --ddp-static-graph --report-to wandb`)).toThrow("is not a flag of this trainer")
})

test("--batch-size is per rank, --global-batch-size over all, --accum-freq encodes in parts", () => {
  expect(recipeOf("--batch-size 32 --nproc 2").batch).toEqual({ size: 64, chunk: null })
  expect(recipeOf("--batch-size 32", { WORLD_SIZE: "8" }).batch.size).toBe(256)
  const step = { SLURM_PROCID: "0", SLURM_NTASKS: "4", SLURM_STEP_NODELIST: "gpu1" }
  expect(recipeOf("--batch-size 32", step).batch.size).toBe(128)
  // The shell of sbatch or salloc, which is not a task of a step.
  expect(recipeOf("--batch-size 32", { SLURM_PROCID: "0", SLURM_NTASKS: "4" }).batch.size).toBe(32)
  expect(parse("--out x --nproc 2", { SLURM_PROCID: "0", SLURM_NTASKS: "4" }).launch.ranks).toBe(2)
  expect(() => parse("--out x --nproc 2", { WORLD_SIZE: "8" })).toThrow("WORLD_SIZE is 8: this is one of 8 processes")
  expect(() => parse("--out x --nproc 2", step)).toThrow("SLURM_NTASKS is 4: this is one of 4 processes")
  expect(() => parse("--out x", { WORLD_SIZE: "many" })).toThrow('WORLD_SIZE is "many", not a number of processes')
  expect(recipeOf("--global-batch-size 96 --chunk-size 12 --nproc 2").batch).toEqual({ size: 96, chunk: 12 })
  expect(recipeOf("--batch-size 16 --accum-freq 4").batch).toEqual({ size: 64, chunk: 16 })
  expect(() => parse("--out x --batch-size 8 --global-batch-size 8")).toThrow("give one of them")
})

test("average, ranges and the size of pictures by their flags", () => {
  expect(recipeOf("--ema 0.99 --ema-warmup").ema).toEqual({ decay: 0.99, warmup: true })
  expect(recipeOf("--range-augment 40 20").rangeAugment).toEqual([40, 20])
  expect(recipeOf("--dataset-reinforcement-filter-image-size 64").data.minImageSize).toBe(64)
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
  ["--dataset-type synthetic", "--dataset-type: data.format should be one of auto, shards"],
  ["--dataset-type tfrecord", "--dataset-type tfrecord: TFRecord is not read here"],
  ["--batch-size 2.5", "--batch-size should be a whole number from 1 on, not 2.5"],
  ["--batch-size 1", "--batch-size: batch.size should be a number from 2 on, not 1"],
  ["--steps 5 --epochs 2", "--epochs: schedule.steps and schedule.epochs both say how long the run is"],
  ["schedule.step=5", 'schedule.step=5: there is no key "schedule.step"'],
  ["steps", '"steps" is not key=value'],
])("%s is an error that says where", (line, message) => {
  expect(() => recipeOf(line)).toThrow(message)
})

test("threads that prepare batches: one beside a processor that trains, up to eight beside a GPU", () => {
  expect(workersFor({ device: "cpu", threads: 16 })).toBe(1)
  expect([1, 4, 16].map((threads) => workersFor({ device: "cuda", threads }))).toEqual([1, 3, 8])
})

test("a run needs a folder, a dry run does not", () => {
  expect(() => parse("--recipe mobileclip2-s0")).toThrow("--out is missing")
  expect(parse("--recipe mobileclip2-s0 --dry-run").launch).toMatchObject({ dryRun: true, out: null })
  expect(parse("--print-config --json").launch).toMatchObject({ printConfig: true, json: true })
})

test("every flag of the table sets keys that exist", () => {
  for (const { flags, set } of recipeFlags) {
    for (const key of Object.keys(set("1"))) expect(recipeKeys(), flags).toContain(key)
  }
  const flags = [...recipeFlags, ...jointFlags].map(({ flags }) => flags.split(" ")[0])
  expect(new Set(flags).size).toBe(flags.length)
})

test("ranks are started without --nproc, however it was given", () => {
  const argv = ["--nproc", "2", "--out", "x", "--nproc=3", "save.keep=2", "--nproc", "4"]
  expect(withoutProcesses(argv)).toEqual(["--out", "x", "save.keep=2"])
})

test("every rank has a CUDA device of its own", () => {
  const present = ["cpu", "cuda", "cuda:1"] as const
  expect(() => checkCount({ nproc: 3, device: "cuda" }, present)).toThrow(
    "--nproc 3 takes 3 CUDA devices, and this libtorch has 2",
  )
  expect(() => checkCount({ nproc: 2, device: "cuda" }, ["cpu"])).toThrow("this libtorch has 0")
  expect(() => checkCount({ nproc: 2, device: "cuda" }, present)).not.toThrow()
  expect(() => checkCount({ nproc: 9, device: "cpu" }, ["cpu"])).not.toThrow()
})

test("flags and changes apply to a named recipe; a resumed run keeps its own", async () => {
  const named = await resolveRecipe(parse("--recipe dfndr-12m --out x --train-data a.tar --wd 0.1 ema=0.999"))
  expect(named).toMatchObject({
    model: "mobileclip2-b",
    ema: { decay: 0.999, warmup: false },
    optimizer: { weightDecay: 0.1 },
  })
  const folder = mkdtempSync(join(tmpdir(), "train-"))
  await saveRecipe(folder, named)
  const resumed = await resolveRecipe(parse(`--out ${folder} --resume save.keep=7`))
  expect(resumed).toEqual({
    ...named,
    data: { ...named.data, train: resolve("a.tar") },
    save: { ...named.save, keep: 7 },
  })
  await expect(resolveRecipe(parse("--out nowhere --resume --dry-run"))).rejects.toThrow(
    "there is no run to resume in nowhere",
  )
  await expect(resolveRecipe(parse("--recipe dfndr-12m --out x"))).rejects.toThrow("dfndr-12m: data.train is missing")
  expect((await recipeNamed("dfndr-12m")).recipe.data.train).toBeNull()
})

test("a dry run of a recipe, without data", async () => {
  const args = parse("--recipe mobileclip2-s0 --dry-run --samples-per-second 50000 --nproc 8 --global-batch-size 65536")
  const { plan, text } = await dryRun(await resolveRecipe(args), args.launch, { samples: null }, [])
  expect(plan).toMatchObject({ ranks: 8, batch: { perRank: 8192 }, length: { steps: 200_000 } })
  expect(plan.time).toEqual({ kind: "measured", seconds: 262_144, samplesPerSecond: 50_000 })
  expect(text()).toContain("3.0 days at 50000 pairs/s")
})
