import { expect, test } from "vitest"
import { recipes } from "../../../recipes/index.ts"
import { planText } from "../../cli/train/dry-run.ts"
import { modelNamed } from "../../core/family/variants.ts"
import { applyOverrides, parseOverride } from "../recipe/overrides.ts"
import { runLength } from "../recipe/run-length.ts"
import { defaultRecipe } from "../recipe/schema.ts"
import { activationBytes } from "./activations.ts"
import { planOf } from "./plan.ts"

/** Where nothing is known of this machine a plan is for a GPU; memory.test.ts compares the share with measurements. */
const heldOnGpu = 0.82

const recipe = (name: string, ...overrides: string[]) =>
  applyOverrides(recipes[name] ?? defaultRecipe, overrides.map(parseOverride), name)

test("parameters are those published for the exported form", () => {
  const { image, text } = planOf(recipe("mobileclip-s0"), { samples: null })
  // Published: 11.4 M and 42.4 M.
  expect(image.parameters).toEqual({ train: 11_406_464, inference: 11_356_992 })
  expect(Math.round(text.parameters.inference / 1e5) / 10).toBe(42.4)
})

test("multiply-adds of a pair: three forward passes, and one more where activations or features are computed twice", () => {
  const plain = planOf(recipe("", "model=mobileclip2-b", "batch.size=64"), { samples: 6400 })
  const { image, text } = forwardOf(plain)
  const similarities = 2 * 64 * 3 * 512
  expect(plain.multiplyAdds.perSample).toBe(3 * image + 3 * text + similarities)
  expect(plain.multiplyAdds.perStep).toBe(64 * plain.multiplyAdds.perSample)
  const cached = planOf(recipe("", "model=mobileclip2-b", "batch.size=64", "batch.chunk=16"), { samples: 6400 })
  expect(cached.multiplyAdds.perSample).toBe(4 * image + 4 * text + similarities)
  const locked = planOf(recipe("", "model=mobileclip2-b", "start=a", 'lock=["image"]'), { samples: 6400 })
  expect(locked.multiplyAdds.perSample).toBe(image + 3 * text + similarities)
})

test("synthetic captions double the text and the pairings, not the picture", () => {
  const overrides = ["activationCheckpointing=false", "batch.size=64"]
  const { multiplyAdds, ...plan } = planOf(recipe("dfndr-12m", ...overrides), { samples: null })
  const { image, text } = forwardOf(plan)
  expect(multiplyAdds.perSample).toBe(3 * image + 6 * text + 2 * 2 * 64 * (3 * 512 + 2 * 768))
  const mixed = planOf(recipe("dfndr-12m", ...overrides, "data.mixSynthetic=0.5"), { samples: null })
  expect(mixed.multiplyAdds.perSample).toBe(3 * image + 3 * text + 2 * 64 * (3 * 512 + 2 * 768))
})

test("shards with the format reinforced have two captions too", () => {
  const teaching = ["loss.kind=distill", "loss.teacherScales=[70,60]", "batch.size=64"]
  const called = planOf(recipe("", "data.format=reinforced", ...teaching), { samples: 6400 })
  const { image, text } = forwardOf(called)
  expect(called.multiplyAdds.perSample).toBe(3 * image + 6 * text + 2 * 2 * 64 * (3 * 128 + 2 * 768))
  const widths = planOf(recipe("", "data.format=reinforced", ...teaching, "data.teacherWidths=[8,16]"), {
    samples: 6400,
  })
  expect(widths.multiplyAdds.perSample).toBe(3 * image + 6 * text + 2 * 2 * 64 * (3 * 128 + 24))
})

const captioner = ["model=coca-vit-l-14", "loss.kind=coca", "batch.size=64"]

test("a captioner has a decoder, whose parameters are open_clip's and which runs once whatever the chunks", () => {
  const plan = planOf(recipe("", ...captioner), { samples: 6400 })
  const { image, text, decoder } = plan
  // open_clip counts 638.45 M, the temperature among them.
  const all = [image, text, decoder!].reduce((sum, { parameters }) => sum + parameters.train, 0)
  expect(all + 1).toBe(638_450_177)
  expect(image.parameters.inference).toBe(image.parameters.train)
  const [width, tokens, queries] = [768, 75, 255]
  const linear = tokens * width * width * (12 + 2 + 8) + 2 * queries * width * width
  const attention = 2 * tokens * width * (tokens + queries)
  expect(decoder!.multiplyAdds).toBe(12 * (linear + attention) + tokens * width * 49408)
  const forward = forwardOf(plan)
  const similarities = 2 * 64 * 3 * 768
  expect(plan.multiplyAdds.perSample).toBe(3 * (forward.image + forward.text + decoder!.multiplyAdds) + similarities)
  const cached = planOf(recipe("", ...captioner, "batch.chunk=16"), { samples: 6400 })
  expect(cached.multiplyAdds.perSample).toBe(plan.multiplyAdds.perSample + forward.image + forward.text)
  const again = planOf(recipe("", ...captioner, "activationCheckpointing=true"), { samples: 6400 })
  const once = forward.image + forward.text + decoder!.multiplyAdds
  expect(again.multiplyAdds.perSample).toBe(plan.multiplyAdds.perSample + once)
  const lockedChunks = planOf(recipe("", ...captioner, "batch.chunk=16", "start=a", 'lock=["image"]'), {
    samples: 6400,
  })
  expect(lockedChunks.multiplyAdds.perSample).toBe(cached.multiplyAdds.perSample - 2 * forward.image)
  expect(plan.memory.weights).toBe(4 * all)
  expect(plan.memory.activations).toBeCloseTo(
    heldOnGpu * 64 * (image.activationBytes + text.activationBytes + decoder!.activationBytes),
  )
  const locked = planOf(recipe("", ...captioner, "start=a", 'lock=["image","text"]'), { samples: 6400 })
  expect(locked.memory.gradients).toBe(4 * decoder!.parameters.train)
})

test("memory: gradients for what learns, activations for a chunk", () => {
  const whole = planOf(recipe("", "model=mobileclip2-b", "batch.size=64"), { samples: 6400 })
  const parameters = whole.image.parameters.train + whole.text.parameters.train
  expect(whole.memory).toMatchObject({ weights: 4 * parameters, gradients: 4 * parameters, optimizer: 8 * parameters })
  expect(whole.memory.average).toBe(0)
  expect(whole.memory.activations).toBeCloseTo(
    heldOnGpu * 64 * (whole.image.activationBytes + whole.text.activationBytes),
  )
  const chunked = planOf(recipe("", "model=mobileclip2-b", "batch.size=64", "batch.chunk=8", "precision=amp_bf16"), {
    samples: 6400,
  })
  expect(chunked.memory.activations).toBeCloseTo(whole.memory.activations / 16)
  const { total, ...parts } = whole.memory
  expect(total).toBe(Object.values(parts).reduce((sum, bytes) => sum + bytes, 0))
})

test("checkpointing keeps the outputs of blocks and the largest block", () => {
  const layer = (path: string, bytes: number, size: number) => ({
    ...{ path, activationBytes: bytes, shape: [1, size], operations: [], convolution: null },
    ...{ parameters: 0, multiplyAdds: 0, attentionMultiplyAdds: 0 },
  })
  const layers = [layer("text.blocks.0.a", 100, 5), layer("text.blocks.0.b", 40, 10), layer("text.blocks.1.a", 60, 10)]
  expect(activationBytes(layers, { checkpointing: false })).toBe(200)
  expect(activationBytes(layers, { checkpointing: true })).toBe(40 + 40 + 140)
})

test("the length of a run, in each of its units", () => {
  expect(runLength(recipe("dfndr-12m"), null)).toEqual({
    ...{ steps: 30_000, warmupSteps: 1000, samples: 245_760_000, epochs: 19.2 },
  })
  expect(runLength(recipe("", "schedule.samples=1000", "schedule.warmup=1"), null)).toEqual({
    ...{ steps: 16, warmupSteps: 1, samples: 1024, epochs: null },
  })
  expect(runLength(recipe("", "schedule.epochs=3"), 6450).steps).toBe(300)
  expect(() => runLength(recipe("", "schedule.epochs=3"), null)).toThrow("3 epochs of data whose size is not known")
  expect(() => runLength(recipe("", "schedule.epochs=3"), 10)).toThrow("10 pairs do not fill a batch of 64")
  expect(() => runLength(recipe("", "schedule.steps=50", "schedule.warmup=100"), null)).toThrow(
    "a warm-up of 100 steps",
  )
  const warmups = [4, 50, 5000].map((steps) => runLength(recipe("", `schedule.steps=${steps}`), null).warmupSteps)
  expect(warmups).toEqual([0, 5, 100])
})

test("ranks share a batch evenly", () => {
  const plan = planOf(recipe("mobileclip2-s4"), { samples: null, ranks: 128, shards: 1000 })
  expect(plan.batch).toEqual({ size: 114_688, perRank: 896, chunk: 896 })
  expect(plan.shardsPerRank).toBe(7.8125)
  expect(() => planOf(recipe("", "batch.size=64"), { samples: 6400, ranks: 3 })).toThrow("does not divide among 3")
})

test("time from a measured rate, or a bound from the rate of matrix products", () => {
  const facts = { samples: 6400, ranks: 2 }
  const bounded = planOf(recipe("", "schedule.steps=100"), { ...facts, matmulRate: 1e10 })
  expect(bounded.time?.samplesPerSecond).toBeCloseTo(2e10 / bounded.multiplyAdds.perSample)
  expect(planOf(recipe("", "schedule.steps=100"), { ...facts, samplesPerSecond: 64 }).time).toEqual({
    ...{ seconds: 100, samplesPerSecond: 64, kind: "measured" },
  })
  expect(planOf(recipe("", "schedule.steps=100"), facts).time).toBeNull()
})

test("the plan as text", () => {
  const resolved = recipe("dfndr-12m")
  const text = planText(planOf(resolved, { samples: null, ranks: 32, samplesPerSecond: 20_000 }), resolved, [])
  expect(text).toContain("batch          8,192 pairs, 256 on each of 32 ranks")
  expect(text).toContain("pairs seen     245,760,000 (19.2 epochs)")
  expect(text).toContain("loss           distill, weights 0 1, teacher scales 70 60")
  expect(text).toMatch(/time +3 h 25 min at 20000 pairs\/s/)
  expect(text).not.toMatch(/NaN|undefined/)
})

test("a captioner's plan as text", () => {
  const resolved = recipe("", ...captioner, "loss.sampledWords=1024")
  const text = planText(planOf(resolved, { samples: 6400, samplesPerSecond: 100 }), resolved, [])
  expect(text).toMatch(/^coca-vit-l-14 +trained, M +exported, M +forward, G$/m)
  expect(text).toMatch(/^decoder +\d+\.\d+ /m)
  expect(text).toMatch(/^all +638\.5 +638\.5$/m)
  expect(text).toContain("loss           coca, weights 1 of pairs and 2 of captions, 1,024 sampled words")
})

test("the model of a start is a fact: no file is read", () => {
  const resolved = recipe("", "model=start", "start=nowhere.safetensors")
  const model = { name: "mine", config: modelNamed("mobileclip2-b").model }
  const plan = planOf(resolved, { samples: 6400, model })
  const named = planOf(recipe("", "model=mobileclip2-b"), { samples: 6400 })
  expect(plan).toEqual({ ...named, model: "mine" })
  const text = planText(plan, resolved, [])
  expect(text).toMatch(/^model +mine$/m)
  expect(text).toMatch(/^mine +trained, M /m)
  expect(() => planOf(resolved, { samples: 6400 })).toThrow("must be among the plan's facts")
})

function forwardOf({ image, text }: Pick<ReturnType<typeof planOf>, "image" | "text">) {
  return { image: image.multiplyAdds, text: text.multiplyAdds }
}
