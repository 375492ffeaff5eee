import { mkdtempSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, test } from "vitest"
import { recipes } from "../../../recipes/index.ts"
import { recipeNamed, recipeNames, recipeOfRun, saveRecipe } from "./load.ts"
import { applyOverrides, parseOverride } from "./overrides.ts"
import { parseRecipe, recipeKeys } from "./parse.ts"
import { defaultRecipe } from "./schema.ts"

const parse = (value: unknown) => parseRecipe(value, { where: "mine.json" })
const withOverrides = (...texts: string[]) => applyOverrides(defaultRecipe, texts.map(parseOverride), "mine.json")

/** The message and hint of what `run` throws, as one text. */
function complaint(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    const { message, hint } = error as Error & { hint?: string }
    return [message, hint].filter(Boolean).join(" | ")
  }
  throw new Error("nothing was thrown")
}

test("what a recipe leaves out has open_clip's values, and a resolved recipe is its own", () => {
  expect(defaultRecipe.optimizer).toMatchObject({ beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.2 })
  expect(parse(JSON.parse(JSON.stringify(defaultRecipe)))).toEqual(defaultRecipe)
  expect(parse({ model: "MobileCLIP2_S0" }).model).toBe("mobileclip2-s0")
})

test("an unknown key is an error that names the nearest keys and the file", () => {
  expect(complaint(() => parse({ shedule: {} }))).toBe(
    'mine.json: there is no key "shedule" | nearest: schedule, seed, model',
  )
  expect(complaint(() => parse({ schedule: { warmpu: 3 } }))).toContain(
    'mine.json: there is no key "schedule.warmpu" | nearest: schedule.warmup',
  )
  expect(complaint(() => parseOverride("schedule.step=3"))).toContain("nearest: schedule.steps")
})

test("a key without its group is found in it", () => {
  expect(complaint(() => parseOverride("learningRate=1"))).toBe(
    'learningRate=1: there is no key "learningRate" | nearest: schedule.learningRate',
  )
})

test.each([
  [{ schedule: { steps: "many" } }, 'mine.json: schedule.steps should be a number, not "many"'],
  [{ schedule: { steps: 2.5 } }, "mine.json: schedule.steps should be a whole number, not 2.5"],
  [{ batch: { size: 1 } }, "mine.json: batch.size should be a number from 2 on, not 1"],
  [{ ema: 1.5 }, "mine.json: ema.decay should be a number below 1, not 1.5"],
  [{ ema: 1 }, "mine.json: ema.decay should be a number below 1, not 1"],
  [{ ema: { decay: "much" } }, 'mine.json: ema.decay should be a number, not "much"'],
  [{ rangeAugment: [40] }, "mine.json: rangeAugment should be a list of 2 values, not [40]"],
  [{ frozenStatistics: "image" }, 'mine.json: frozenStatistics should be true, false or a list of towers, not "image"'],
  [{ precision: "bf16" }, 'mine.json: precision should be one of fp32, amp_bf16, amp_fp16, not "bf16"'],
  [{ loss: { weights: [1] } }, "mine.json: loss.weights should be a list of 2 values, not [1]"],
  [{ data: { syntheticPattern: "(" } }, 'mine.json: data.syntheticPattern should be a regular expression, not "("'],
  [{ lock: "image" }, 'mine.json: lock should be a list, not "image"'],
  [{ data: 3 }, "mine.json: data should be a group of keys, not 3"],
])("%j says what was expected", (value, message) => {
  expect(complaint(() => parse(value))).toBe(message)
})

test("keys that contradict each other are an error", () => {
  expect(complaint(() => parse({ loss: { kind: "distill" } }))).toContain(
    "loss.kind distill needs teachers | data.rein",
  )
  expect(complaint(() => parse({ batch: { size: 8, chunk: 9 } }))).toContain(
    "batch.chunk 9 is more than the batch of 8",
  )
  expect(complaint(() => parse({ schedule: { steps: 1, epochs: 1 } }))).toContain("both say how long the run is")
  expect(complaint(() => parse({ schedule: { learningRate: 0.1, minLearningRate: 1 } }))).toContain("is above")
  const teachers = { teachers: ["a", "b"], loss: { kind: "distill", weights: [0, 1], teacherScales: [70] } }
  expect(complaint(() => parse(teachers))).toContain("has 1 values for 2 teachers")
  const joined = { ...teachers, loss: { ...teachers.loss, teacherScales: [70, 60], averageAfterSoftmax: false } }
  expect(complaint(() => parse(joined))).toContain("one product over all teachers takes one")
})

const captioner = { model: "quickstart-captioner", loss: { kind: "coca" } }
const online = { teachers: ["a"], loss: { kind: "distill", teacherScales: [70] } }

test.each([
  [
    { model: "coca-vit-l-14" },
    "coca-vit-l-14 writes captions, which loss.kind clip does not teach | set loss.kind=coca",
  ],
  [
    { loss: { kind: "coca" } },
    "which quickstart does not | set model to a captioner: coca-vit-l-14, quickstart-captioner",
  ],
  [{ loss: { sampledWords: 64 } }, "loss.sampledWords belongs to captions, and loss.kind is clip | leave it out"],
  [{ ...captioner, rangeAugment: [40, 20] }, "mine.json: rangeAugment belongs to models without a decoder"],
  [{ ema: { warmup: true } }, "mine.json: ema.warmup belongs to an average, and there is none | set ema.decay=0.9995"],
  [{ ...captioner, data: { reinforced: true } }, "has no second term for synthetic captions | data.mixSynthetic=0.5"],
  [{ lock: ["image"] }, "the image tower is locked and has random weights | start=... (--pretrained)"],
  [
    { ...online, loss: { kind: "clip" } },
    "teachers cost time and have no effect: loss.kind is clip | set loss.kind=distill",
  ],
  [{ ...captioner, teachers: ["a"] }, "teachers cost time and have no effect: loss.kind is coca"],
  [
    { ...online, loss: { ...online.loss, weights: [1, 0] } },
    "have no effect: their weight is 0 | set loss.weights=[0,1]",
  ],
  [
    { ...online, loss: { kind: "siglip", weights: [1, 0] } },
    "teachers cost time and have no effect: their weight is 0",
  ],
  [{ ...online, loss: { kind: "distill" } }, "loss.teacherScales is empty"],
  [{ data: { reinforced: true }, loss: { kind: "siglip" } }, "loss.teacherScales is empty | one number per teacher"],
  [{ loss: { kind: "siglip", weights: [0, 1] } }, "loss.kind siglip with a weight for distillation needs teachers"],
  [{ ...online, loss: { ...online.loss, weights: [0, 0] } }, "loss.weights are both 0"],
  [{ ...online, data: { teacherWidths: [8, 8] } }, "data.teacherWidths has 2 values and loss.teacherScales 1"],
  [{ model: "coca-vit-l-15" }, 'there is no model named "coca-vit-l-15" in the family | nearest names: coca-vit-l-14'],
])("%j is refused, with what to do", (value, message) => {
  expect(complaint(() => parse(value))).toContain(message)
})

test.each([
  captioner,
  { ...captioner, lock: ["image", "text"], start: "a" },
  { ...captioner, data: { reinforced: true, mixSynthetic: 0.5 } },
  { loss: { kind: "siglip" } },
  { ema: { decay: 0 } },
  { ema: { decay: 0.5, warmup: true } },
  { frozenStatistics: true },
  { frozenStatistics: ["text"] },
  { ...online, data: { reinforced: true } },
])("%j goes together", (value) => {
  expect(parse(value)).toMatchObject(value)
})

test("overrides are JSON, else text; later ones win; a group may be set in part", () => {
  const recipe = withOverrides(
    ...["schedule.steps=2000", "loss.weights=[0,1]", "data.train=a.tar::b.tar", "precision=amp_bf16"],
    ...['save={"keep":3}', "seed=1", "seed=2", "data.train=x=y"],
  )
  expect(recipe.schedule.steps).toBe(2000)
  expect(recipe.loss.weights).toEqual([0, 1])
  expect(recipe.data.train).toBe("x=y")
  expect(recipe.save).toEqual({ every: 1000, keep: 3 })
  expect(recipe.seed).toBe(2)
})

test("a number for ema is its decay, in a file and on top of one, and leaves the warm-up", () => {
  expect(parse({ ema: 0.9 }).ema).toEqual({ decay: 0.9, warmup: false })
  expect(parse({ ema: null }).ema).toEqual({ decay: null, warmup: false })
  expect(withOverrides("ema.warmup=true", "ema=0.99").ema).toEqual({ decay: 0.99, warmup: true })
  expect(withOverrides('ema={"decay":0.99,"warmup":true}', "ema=null", "ema.warmup=false").ema.decay).toBeNull()
})

test("one way to say how long the run is takes the place of another", () => {
  const recipe = applyOverrides(recipes["dfndr-12m"]!, [parseOverride("schedule.epochs=2")], "dfndr-12m")
  expect(recipe.schedule).toMatchObject({ steps: null, samples: null, epochs: 2, warmup: 1000 })
  expect(complaint(() => withOverrides("schedule.steps=1", "schedule.epochs=2"))).toContain("keep one of them")
})

test("an error names the flag or key=value that set a wrong value", () => {
  const overrides = [{ key: "schedule.learningRate", value: "fast", source: "--lr" }]
  expect(complaint(() => applyOverrides(defaultRecipe, overrides, "mine.json"))).toBe(
    '--lr: schedule.learningRate should be a number, not "fast"',
  )
})

test("the papers' recipes", async () => {
  expect(recipeNames).toHaveLength(22)
  const recipes = Object.fromEntries(
    await Promise.all(recipeNames.map(async (name) => [name, (await recipeNamed(name)).recipe])),
  )
  const seen = (name: string) => (recipes[name].batch.size * recipes[name].schedule.steps) / 1e9
  expect(seen("mobileclip-s0")).toBeCloseTo(13.1072)
  expect(seen("mobileclip-blt")).toBeCloseTo(39.3216)
  expect(seen("mobileclip2-s4")).toBeCloseTo(22.9376)
  expect(recipes["mobileclip-b"].loss).toMatchObject({ weights: [0.25, 0.75], teacherScales: [100, 100] })
  expect(recipes["mobileclip2-b"]).toMatchObject({
    loss: { kind: "distill", weights: [0, 1], teacherScales: [70, 60] },
    schedule: { warmup: 2000, minLearningRate: 1e-6 },
    ema: { decay: null },
    rangeAugment: null,
  })
  for (const name of ["s0", "s1", "s2", "b", "blt"])
    expect(recipes[`mobileclip-${name}`]).toMatchObject({ rangeAugment: [40, 20], ema: { decay: 0.9995 } })
  const reinforced = recipes["datacompdr-12m"]
  const differing = (name: string) => ({ ...recipes[name], loss: reinforced.loss, data: reinforced.data })
  for (const what of ["real", "synthetic", "one-caption", "lambda-0.7", "one-teacher"])
    expect(differing(`datacompdr-12m-${what}`)).toEqual(reinforced)
  const mixed = ["real", "synthetic", "one-caption"].map((what) => recipes[`datacompdr-12m-${what}`].data.mixSynthetic)
  expect(mixed).toEqual([0, 1, 0.5])
  expect(recipes["datacompdr-12m-lambda-0.7"].loss.weights).toEqual([0.3, 0.7])
  expect(recipes["dfndr-12m-one-teacher"].loss.teacherScales).toEqual([70])
  expect(recipes["dfndr-12m-captioners"].data.syntheticPattern).toBe("^syn_text")
  expect(recipes["mobileclip2-l14"]).toMatchObject({ model: "mobileclip2-l14", schedule: { warmup: 2000 } })
  expect(recipes["datacomp-12m"]).toMatchObject({ model: "vit-b-16", optimizer: { eps: 1e-6 }, loss: { kind: "clip" } })
})

test("a run's recipe is saved completely and read again; missing names and files are reported", async () => {
  const folder = mkdtempSync(join(tmpdir(), "recipe-"))
  const { recipe } = await recipeNamed("dfndr-12m")
  await saveRecipe(folder, recipe)
  expect((await recipeOfRun(folder))?.recipe).toEqual(recipe)
  writeFileSync(join(folder, "wrong.json"), '{"batch": {"sise": 3}}')
  await expect(recipeNamed(join(folder, "wrong.json"))).rejects.toThrow(/wrong\.json: there is no key "batch\.sise"/)
  await expect(recipeNamed("mobileclip2-s1")).rejects.toThrow('there is no recipe named "mobileclip2-s1"')
  expect(await recipeOfRun(join(folder, "none"))).toBeNull()
})

test("every key has a dotted name", () => {
  expect(recipeKeys()).toEqual(expect.arrayContaining(["model", "schedule.steps", "loss.weights", "evaluate.tasks"]))
})
