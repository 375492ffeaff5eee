import { mkdtempSync, renameSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, beforeAll, expect, test, vi } from "vitest"
import { endsProcesses } from "../../../test/deadly-task.ts"
import { tinyConfig, tinyInfo, tinyModel } from "../../../test/tiny-model.ts"
import { UserError } from "../../core/errors.ts"
import { renderScene } from "../../data/scenes/render.ts"
import { sampleScene } from "../../data/scenes/scene.ts"
import { exportModel } from "../../export/export.ts"
import { Clip } from "../../model/clip.ts"
import { initialize } from "../../model/module.ts"
import { readingDefaults } from "../../pictures/reading.ts"
import { MobileCLIP } from "../../weights/clip-node.ts"
import { FatalTask, lifetimeDefaults } from "../processes/lasting.ts"
import type { ModelSettings, ModelTask } from "./model-work.ts"
import { type Models, Models as ServedModels, UnknownModel } from "./models.ts"
import type { ModelEngine } from "./served-model.ts"

let folder: string
let model: string
let pictures: Uint8Array[]
let expected: { texts: Float32Array; pictures: Float32Array }
const texts = ["a red circle", "a blue square on green", "a", "two yellow triangles beside a star"]

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "engine-"))
  model = join(folder, "tiny")
  await exportModel(tinyModel(), tinyInfo, model)
  pictures = await Promise.all([0, 1, 2, 3, 4].map((i) => renderScene(sampleScene(3, "train", i))))
  await using clip = await MobileCLIP.load(model, { threads: 1 })
  expected = { texts: await clip.encodeTexts(texts), pictures: await clip.encodeImages(pictures) }
})
afterAll(() => rmSync(folder, { recursive: true }))

type Options = ConstructorParameters<typeof Models>[1]

function open(options: Partial<Options> = {}, served = model): Models {
  const settings: ModelSettings = { model: served, threads: 2, maxPixels: 1e8, ...readingDefaults }
  const all: Options = {
    ...{ mostWaiting: 1024, textBatch: 32, maxDelay: 0, lifetime: lifetimeDefaults },
    ...{ idleSeconds: null, cacheBytes: 1e6, ...options },
  }
  return new ServedModels(new Map([["tiny", settings]]), all)
}

const flat = (rows: readonly Float32Array[]) => rows.flatMap((row) => [...row])

function expectClose(rows: readonly Float32Array[], wanted: Float32Array): void {
  const found = flat(rows)
  expect(found).toHaveLength(wanted.length)
  // Batches of other sizes add up in another order.
  const largest = Math.max(...found.map((value, i) => Math.abs(value - wanted[i]!)))
  expect(largest).toBeLessThan(2e-6)
}

test("texts and pictures have the library's vectors, in their order, alone and together", async () => {
  await using models = open()
  await models.use("tiny", async (engine) => {
    expectClose(await engine.encodeTexts(texts), expected.texts)
    expectClose(await engine.encodePictures(pictures), expected.pictures)
  })
  await models.use(undefined, async (engine) => {
    const alone = await Promise.all(texts.map((text) => engine.encodeTexts([text])))
    expectClose(alone.flat(), expected.texts)
  })
})

test("what is asked again, or twice in one request, is computed once", async () => {
  await using models = open()
  await models.use("tiny", async (engine) => {
    const [a, b, c] = await engine.encodeTexts(["a", "b", "a"])
    expect(a).toEqual(c)
    expect(a).not.toEqual(b)
    expect(engine.texts.counts.items).toBe(2)
    await engine.encodeTexts(["b", "a"])
    expect(engine.texts.counts.items).toBe(2)
    expect(models.cacheCounts("tiny")).toEqual({ hits: 2, misses: 2 })
  })
})

test("a picture that cannot be read is refused alone", async () => {
  await using models = open()
  await models.use("tiny", async (engine) => {
    const results = await Promise.allSettled([
      engine.encodePictures([pictures[0]!]),
      engine.encodePictures([new TextEncoder().encode("not a picture")]),
      engine.encodePictures([pictures[1]!]),
    ])
    expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"])
    const { reason } = results[1] as PromiseRejectedResult
    expect(reason).toBeInstanceOf(UserError)
    expect(reason.message).toMatch(/^the picture is not /)
  })
})

test("a process that is killed under load loses no request", async () => {
  await using models = open({ cacheBytes: 0 })
  await models.use("tiny", async (engine) => {
    const first = engine.process.pid!
    const asked = Array.from({ length: 60 }, (_, i) =>
      i % 2 ? engine.encodeTexts([texts[i % 4]!]) : engine.encodePictures([pictures[i % 5]!]),
    )
    await sleep(5)
    process.kill(first, "SIGKILL")
    const found = await Promise.all(asked)
    found.forEach(([row], i) => {
      const [wanted, at] = i % 2 ? [expected.texts, i % 4] : [expected.pictures, i % 5]
      expectClose([row!], wanted.subarray(16 * at, 16 * (at + 1)))
    })
    // All of them may have had their answers before it was killed, and its end is told later.
    while (engine.process.counts.deaths === 0) await sleep(5)
    expect(engine.process.pid).not.toBe(first)
    expect(engine.process.counts.deaths).toBe(1)
  })
})

test("a text that processes die of is refused alone: those of its batch have their vectors", async () => {
  await using models = open()
  await models.use("tiny", async (engine) => {
    const isDeadly = (task: ModelTask) => task.kind === "texts" && task.texts.includes("deadly")
    const [held, deadly, good] = await endsProcesses(
      engine.process,
      () =>
        Promise.allSettled([
          engine.encodeTexts(["what the tower does while the others gather"]),
          engine.encodeTexts(["deadly"]),
          engine.encodeTexts(texts),
        ]),
      isDeadly,
    )
    expect(engine.texts.counts).toMatchObject({ items: 6, batches: 2 })
    expect(held.status).toBe("fulfilled")
    expect((deadly as PromiseRejectedResult).reason).toBeInstanceOf(FatalTask)
    expectClose((good as PromiseFulfilledResult<Float32Array[]>).value, expected.texts)
  })
})

test("a process is replaced by age while requests go on", async () => {
  await using models = open({ cacheBytes: 0, lifetime: { ...lifetimeDefaults, mostTasks: 10 } })
  await models.use("tiny", async (engine) => {
    const first = engine.process.pid
    for (let i = 0; engine.process.pid === first; i++) {
      expectClose(await engine.encodeTexts([texts[i % 4]!]), expected.texts.subarray(16 * (i % 4), 16 * ((i % 4) + 1)))
      await sleep(10)
    }
    expect(engine.process.counts.replaced).toBeGreaterThan(0)
    expect(engine.process.counts.deaths).toBe(0)
  })
})

test("a model is put away after a while, and opened again when it is asked for", async () => {
  await using models = open({ idleSeconds: 0.05 })
  let first: ModelEngine | null = null
  await models.use("tiny", async (engine) => {
    first = engine
    await engine.encodeTexts(["a"])
  })
  const pid = first!.process.pid!
  while (isRunning(pid)) await sleep(10)
  expect((await models.open()).size).toBe(0)
  await models.use("tiny", async (engine) => {
    expect(engine).not.toBe(first)
    expectClose(await engine.encodeTexts(texts), expected.texts)
  })
})

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

test.each(["is put away", "dies", "goes on"])(
  "vectors of two models never meet: a folder is replaced, and its process %s",
  async (fate) => {
    const served = join(folder, fate.replaceAll(" ", "-"))
    const config = { ...tinyConfig, embedDim: 8 }
    const next = new Clip(config)
    initialize(next, 2)
    await exportModel(tinyModel(), tinyInfo, served)
    await exportModel(next, { ...tinyInfo, name: "next" }, `${served}-next`)
    await using models = open({ idleSeconds: fate === "is put away" ? 0.05 : null }, served)
    const pid = await models.use("tiny", async (engine) => {
      expectClose(await engine.encodeTexts(["a"]), expected.texts.subarray(32, 48))
      return engine.process.pid!
    })
    renameSync(served, `${served}-before`)
    renameSync(`${served}-next`, served)
    if (fate === "dies") process.kill(pid, "SIGKILL")
    if (fate === "is put away") while (isRunning(pid)) await sleep(10)
    // "a" is known of the model before; the image tower was not read yet.
    const [words, rows, { embedDim, name }] = await models.use("tiny", async (engine) => [
      await engine.encodeTexts(["a"]),
      await engine.encodePictures([pictures[0]!]),
      engine.model,
    ])
    await using clip = await MobileCLIP.load(served, { threads: 1 })
    expect([embedDim, name]).toEqual([8, "next"])
    expectClose(rows, await clip.encodeImage(pictures[0]!))
    const text = await models.use("tiny", (engine) => engine.encodeTexts(["a"]))
    expectClose(text, await clip.encodeText("a"))
    expect(words).toEqual(text)
  },
)

test("a name that is not served is refused with those that are", async () => {
  await using models = open()
  const asked = models.use("tini", async () => {})
  await expect(asked).rejects.toThrow(UnknownModel)
  await expect(asked).rejects.toMatchObject({ hint: "name one of these: tiny" })
})

test("a model that does not open says why, and for a second at once", async () => {
  const settings: ModelSettings = { model: join(folder, "nothing"), threads: 1, maxPixels: 1e8, ...readingDefaults }
  await using models = new ServedModels(new Map([["nothing", settings]]), {
    ...{ mostWaiting: 10, textBatch: 1, maxDelay: 0, lifetime: lifetimeDefaults, idleSeconds: null, cacheBytes: 0 },
  })
  const asked = () => models.use("nothing", async () => {}).catch((reason: unknown) => reason)
  const clock = vi.spyOn(performance, "now").mockReturnValue(performance.now())
  const error = await asked()
  expect(error).toBeInstanceOf(UserError)
  expect((error as Error).message).toContain("nothing")
  const again = await Promise.all([asked(), asked()])
  clock.mockRestore()
  expect(again.every((each) => each === error)).toBe(true)
  while ((await asked()) === error) await sleep(50)
  expect(await asked()).toBeInstanceOf(UserError)
})
