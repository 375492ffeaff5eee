import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { collect, tarOf } from "../../../../test/reinforced.ts"
import { joinShards } from "./join.ts"

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "join-"))
})
afterAll(() => rm(folder, { recursive: true }))

const jpg = Uint8Array.of(0xff, 0xd8, 0xff, 0)
const ids = Array.from({ length: 24 }, (_, i) => `37914110521195788${String(i).padStart(2, "0")}`)

test("ids of 19 digits find their own reinforcement, as keys and as a field, past a byte-order mark", async () => {
  const images = join(folder, "images.tar")
  const reinforcements = join(folder, "reinforcements.jsonl")
  const lines = ids.map((id) => `{"id": ${id}, "syn_text": ["caption of ${id}"], "weight": NaN}`)
  await writeFile(reinforcements, `\ufeff${lines.toReversed().join("\r\n")}`)
  for (const keyField of [null, "hash"]) {
    const files = ids.flatMap((id, i) => {
      const name = keyField === null ? id : String(i)
      return [[`${name}.jpg`, jpg], [`${name}.json`, `{"hash":${id}}`]] as const // biome-ignore format: files
    })
    await writeFile(images, await tarOf(files))
    const output = join(folder, `out-${keyField}`)
    const report = await joinShards({ images, reinforcements, output, ...(keyField !== null && { keyField }) })
    expect(report).toMatchObject({ matched: 24, withoutReinforcement: 0, withoutImage: 0, failures: 0 })
    const { samples } = await collect(join(output, "images.tar"))
    expect(samples.map(({ key, synTexts }) => [key, synTexts.get("syn_text")![0]])).toEqual(
      ids.map((id) => [id, `caption of ${id}`]),
    )
    expect(samples.map(({ fields }) => JSON.stringify(fields.hash))).toEqual(ids.map((id) => `"${id}"`))
  }
})
