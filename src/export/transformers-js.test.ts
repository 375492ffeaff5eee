/** The real transformers.js opens what is exported, tokenises, preprocesses and gives the same vectors. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import {
  AutoTokenizer,
  CLIPTextModelWithProjection,
  CLIPVisionModelWithProjection,
  env,
  Tensor,
} from "@huggingface/transformers"
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest"
import { tinyInfo, tinyModel } from "../../test/tiny-model.ts"
import { inputImage } from "../core/arrays/fill.ts"
import { Tokenizer } from "../core/text/tokenizer.ts"
import { loadModel } from "../run/node.ts"
import { exportModel } from "./export.ts"

let folder: string
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "transformers-"))
  env.allowRemoteModels = false
  env.localModelPath = folder
  await exportModel(tinyModel({ causal: false }), tinyInfo, join(folder, "tiny"))
  await exportModel(tinyModel({ causal: false }), tinyInfo, join(folder, "half"), { dtype: "fp16" })
  await exportModel(tinyModel({ causal: false }), tinyInfo, join(folder, "mixed"), { dtype: "mixed" })
})
afterAll(() => rmSync(folder, { recursive: true }))

const texts = ["a photo of a cat", "two dogs"]

test.each([
  ["tiny", "fp32", 1e-4],
  ["half", "fp16", 2e-2],
  // Its configuration says the type of each tower.
  ["mixed", null, 2e-2],
] as const)("%s", async (name, dtype, tolerance) => {
  const { size } = tinyInfo.preprocessing
  const vision = await CLIPVisionModelWithProjection.from_pretrained(name, dtype ? { dtype } : {})
  const text = await CLIPTextModelWithProjection.from_pretrained(name, dtype ? { dtype } : {})
  const tokenizer = await AutoTokenizer.from_pretrained(name)
  const tokens = tokenizer(texts, { padding: "max_length", max_length: 77, truncation: true })
  const { text_embeds } = await text(tokens)
  await using ours = await loadModel(join(folder, name))
  // The same file and the same tokens: the same numbers.
  expect([...text_embeds.data]).toEqual([...(await ours.encodeTexts(texts))])

  const pixels = new Tensor("float32", inputImage(size, 3), [3, 3, size, size])
  const { image_embeds } = await vision({ pixel_values: pixels })
  // What the model gave before it was fused and rounded.
  const expected = ours.manifest!.selfTest!.image
  const width = ours.embedDim
  for (const [row, values] of expected.values.entries()) {
    for (const [i, value] of values.entries()) {
      const difference = Math.abs(image_embeds.data[row * width + i] - value)
      expect(difference / expected.standardDeviation).toBeLessThan(tolerance)
    }
  }
})

interface Golden {
  readonly text: string
  readonly ids: readonly number[]
  readonly truncated: boolean
}

describe("tokens are the reference's, but where the manifest says", () => {
  const { cases }: { cases: Golden[] } = JSON.parse(
    readFileSync(new URL("../../test/golden/tokenizer.json", import.meta.url), "utf8"),
  )
  let theirs: (text: string) => string
  beforeAll(async () => {
    const tokenizer = await AutoTokenizer.from_pretrained("tiny")
    theirs = (text) =>
      tokenizer(text, { padding: "max_length", max_length: 77, truncation: true }).input_ids.data.join()
  })
  const idsOf = (tokenizer: Tokenizer) => (text: string) => tokenizer.encodeBatch([text]).ids.join()
  const ours = idsOf(new Tokenizer())

  test("on the golden texts", async () => {
    vi.doMock("../core/text/mojibake.ts", () => ({ fixEncoding: (text: string) => text }))
    vi.resetModules()
    const withMojibake = idsOf(new (await import("../core/text/tokenizer.ts")).Tokenizer())
    vi.doUnmock("../core/text/mojibake.ts")
    const golden = ({ ids }: Golden) => [...ids, ...Array(77 - ids.length).fill(0)].join()
    const left = cases.filter(({ text, truncated }) => truncated || text === "&#128512;").map(({ text }) => text)
    expect(left).toHaveLength(5)
    expect(cases.filter(({ text }) => theirs(text) !== withMojibake(text)).map(({ text }) => text)).toEqual(left)
    const differing = cases.filter((item) => theirs(item.text) !== golden(item))
    expect(differing.filter((item) => withMojibake(item.text) === golden(item)).map(({ text }) => text)).toEqual(left)
    expect(cases.length - differing.length).toBe(202)
    const { tokenizer } = JSON.parse(readFileSync(join(folder, "tiny", "mobileclip.json"), "utf8"))
    expect(tokenizer.file).toBe("tokenizer.json")
    expect(tokenizer.differs.join()).toMatch(/mojibake.* name .* number .*more tokens/)
  })

  test.each([
    "Don&rsquo;t &ldquo;x&rdquo; &#146; &#x92; &#8217; &#x2019;",
    "<p>Don&rsquo;t</p>\n&rsquo; &amp;rsquo;",
    "&rsquo;\n&EACUTE;<b>\n&rsquo; &EACUTE; ’",
    "&amp;amp;amp;lt; &amp;copy &ampamp; &AMP;AMP;",
    "<&amp;amp;amp;lt; &amp;copy &ampamp; &#38;#38;#38;lt;",
    "&copyright &notit; &notin; &eacute &EACUTE; &eAcute; &nosuch; &; &#; &#x;",
    "&#1;&#65;&#x41;&#X000041;&#128;&#x81;&#160;&#xe9&#233g&#0;&#32;",
    "\u001b[1;31mred\u001b[0m \u001b［３２ｍ a\u0000b\ufeffc\u0007",
    "ＦＵＬＬ　１２３ ﾊﾟ ￣ ﬃ ŉ Ǆ ‚q‛ „q‟ ʼ e\u0301 \u1112\u1161\u11ab",
    "a\r\nb\u2028c\x85d \x99",
    "it'ſ a\u0345b!\u0345! ΑΣ ΣΑΣ. İ 日本語 😀 12",
    "a <START_OF_TEXT>b <end_of_text> <|endoftext|>",
    "$& $1 $$ &#36;1 &dollar ＄1",
  ])("on %j", (text) => {
    expect(theirs(text)).toBe(ours(text))
  })
})
