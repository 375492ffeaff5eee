/** The adapters of examples/, driven by the packages that they are for. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { FakeVectorStore } from "@langchain/core/utils/testing"
import { ImageNode, MetadataMode, TextNode } from "@llamaindex/core/schema"
import { embed, embedMany } from "ai"
import sharp from "sharp"
import { afterAll, beforeAll, expect, test } from "vitest"
import { embeddingModel } from "../examples/ai-sdk.ts"
import { MobileClipEmbeddings } from "../examples/langchain.ts"
import { MobileClipEmbedding } from "../examples/llamaindex.ts"
import { exportModel } from "../src/export/export.ts"
import { MobileCLIP } from "../src/index.ts"
import { tinyInfo, tinyModel } from "./tiny-model.ts"

let folder: string
let clip: MobileCLIP
let picture: string
let ofCat: number[]
let ofPicture: number[]

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "adapters-"))
  await exportModel(tinyModel(), tinyInfo, join(folder, "model"))
  picture = join(folder, "teal.png")
  await sharp({ create: { width: 8, height: 6, channels: 3, background: "teal" } }).toFile(picture)
  clip = await MobileCLIP.load(join(folder, "model"), { threads: 1 })
  ofCat = [...(await clip.encodeText("a cat"))]
  ofPicture = [...(await clip.encodeImage(picture))]
})
afterAll(async () => {
  await clip.dispose()
  rmSync(folder, { recursive: true })
})

/** A batch of another size sums in another order. */
function expectNear(found: readonly number[] | undefined, expected: readonly number[]) {
  expect(found).toHaveLength(expected.length)
  for (const [i, value] of expected.entries()) expect(found![i]).toBeCloseTo(value, 5)
}

test("AI SDK: embed and embedMany of texts and data: URIs, in order", async () => {
  const model = embeddingModel(clip)
  const uri = `data:image/png;base64,${readFileSync(picture).toString("base64")}`
  const { embeddings } = await embedMany({ model, values: ["a dog", uri, "a cat"] })
  expectNear(embeddings[1], ofPicture)
  expectNear(embeddings[2], ofCat)
  expectNear((await embed({ model, value: "a cat" })).embedding, ofCat)
  const abortSignal = AbortSignal.abort()
  await expect(embedMany({ model, values: ["a cat"], abortSignal, maxRetries: 0 })).rejects.toThrow(/abort/i)
})

test("LlamaIndex: nodes of texts and pictures are embedded as a transformation of a pipeline, and queries", async () => {
  const embedding = new MobileClipEmbedding(clip)
  const nodes = [new TextNode({ text: "a cat" }), new ImageNode({ image: picture, text: "" })]
  const [text, image] = await embedding(nodes)
  expect(text!.getContent(MetadataMode.NONE)).toBe("a cat")
  expectNear(text!.embedding, ofCat)
  expectNear(image!.embedding, ofPicture)
  expectNear((await embedding.getQueryEmbedding({ type: "text", text: "a cat" })) ?? undefined, ofCat)
  expectNear(await embedding.getImageEmbedding(new Blob([readFileSync(picture)])), ofPicture)
  expectNear((await embedding.getTextEmbeddingsBatch(["a dog", "a cat"]))[1], ofCat)
})

test("LangChain: a vector store finds documents by a query, and pictures have vectors in the same space", async () => {
  const embeddings = new MobileClipEmbeddings(clip)
  const store = await FakeVectorStore.fromTexts(["a cat", "two dogs"], [{}, {}], embeddings)
  const [found] = await store.similaritySearch("two dogs", 1)
  expect(found!.pageContent).toBe("two dogs")
  expectNear(await embeddings.embedQuery("a cat"), ofCat)
  const [first] = await embeddings.embedImages([picture])
  expectNear(first, ofPicture)
})
