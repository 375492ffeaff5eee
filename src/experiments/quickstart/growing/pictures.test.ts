import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, test } from "vitest"
import { renderSample, renderScenes } from "../../../data/scenes/dataset.ts"
import { writeShard } from "../../../data/shards.ts"
import { makeDirectory } from "../../../host/files/files.ts"
import { GrowingPictures, picturesSection } from "./pictures.ts"

const folder = await mkdtemp(join(tmpdir(), "mobileclip-growing-pictures-"))
afterAll(() => rm(folder, { recursive: true, force: true }))

/** The same pictures as the captioner leaves them. */
async function* captioned() {
  for (let i = 0; i < 10; i++) {
    const { key, members } = await renderSample(`00000${String(i).padStart(4, "0")}`, 0, "train", i)
    const syn = new TextEncoder().encode(JSON.stringify({ syn_text: [`a caption of ${i}`] }))
    yield { key, members: new Map([...members, ["syn.json", syn]]) }
  }
}

test("pictures appear when they are rendered, and the captioner's captions beside them when it has written them", async () => {
  const [rendered, written] = [join(folder, "scenes/train/00000.tar"), join(folder, "captioned/00000.tar")]
  const pictures = new GrowingPictures(rendered, written)
  expect(picturesSection(await pictures.all())).toBeNull()
  await renderScenes({ out: join(folder, "scenes"), counts: { train: 10, test: 1, retrieval: 1 } })
  const before = await pictures.all()
  expect(before).toHaveLength(8)
  for (const { careless, precise, written } of before) {
    expect([careless, precise].every((text) => text.length > 0)).toBe(true)
    expect(written).toEqual([])
  }
  expect(picturesSection(before)!.text).not.toContain("<dt>captioner")
  await makeDirectory(join(folder, "captioned"))
  await writeShard(written, captioned())
  const after = await pictures.all()
  expect(after.map(({ written }) => written)).toEqual(before.map((_, i) => [`a caption of ${i}`]))
  expect(after.map(({ precise }) => precise)).toEqual(before.map(({ precise }) => precise))
  expect(await pictures.all()).toBe(after)
  expect(picturesSection(after)!.text).toContain("<dt>captioner</dt><dd>a caption of 0</dd>")
})
