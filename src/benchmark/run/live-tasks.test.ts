import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { Random } from "../../core/arrays/random.ts"
import type { Image8 } from "../../core/image/pixels.ts"
import { openDataset } from "../layout/open-dataset.ts"
import { makeSelfSuite, selfSuite } from "../layout/self-suite.ts"
import { evaluate } from "./evaluate.ts"
import { encoderModel } from "./evaluated-model.ts"
import { openLiveTasks } from "./live-tasks.ts"

let folder: string
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "live-tasks-"))
  await makeSelfSuite(join(folder, "root"), { size: 48 })
})
afterAll(() => rmSync(folder, { recursive: true }))

/** Vectors of mean colours, and of what a text's letters make. */
const encoder = {
  embedDim: 3,
  async encodeImages(images: readonly Image8[]) {
    const mean = ({ data, width, height }: Image8, c: number) => {
      let sum = 0
      for (let i = c; i < data.length; i += 3) sum += data[i]!
      return sum / (width * height)
    }
    return Float32Array.from(images.flatMap((image) => [0, 1, 2].map((c) => mean(image, c) - 100)))
  },
  async encodeTexts(texts: readonly string[]) {
    return Float32Array.from(
      texts.flatMap((text) => {
        const random = Random.of(1, text)
        return [random.normal(), random.normal(), random.normal()]
      }),
    )
  },
}

test("a root of tasks is scored as `evaluate` scores it", async () => {
  const list = await openLiveTasks(join(folder, "root"))
  const scores = await list.score(encoder)
  const report = await evaluate({
    ...{ models: [encoderModel("live", "live", encoder)], data: "self", tasks: selfSuite, cache: null },
    open: (task) => openDataset(join(folder, "root"), task),
  })
  expect(report.failures).toEqual([])
  const expected = report.models[0]!.results.map(({ key, metrics }) => [key, metrics.main_metric])
  expect(scores).toEqual(Object.fromEntries(expected))
  expect(Object.keys(list.chance).sort()).toEqual(Object.keys(scores).sort())
  expect(list.chance["self/relation"]).toBe(0.5)
})

test("one task, by its folder; class folders as before", async () => {
  const list = await openLiveTasks(join(folder, "root", "self", "shape"))
  expect(list.chance).toEqual({ shape: 1 / 12 })
  expect(Object.keys(await list.score(encoder))).toEqual(["shape"])
  for (const name of ["a", "b"]) {
    mkdirSync(join(folder, "classes", name), { recursive: true })
    writeFileSync(join(folder, "classes", name, "1.jpg"), "")
  }
  expect((await openLiveTasks(join(folder, "classes"))).chance).toEqual({ classes: 0.5 })
  await expect(openLiveTasks(join(folder, "nothing"))).rejects.toThrow(/there is no such task list/)
})
