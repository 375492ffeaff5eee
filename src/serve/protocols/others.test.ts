/** The protocols beside OpenAI's, each by its own client, or by a request as its program sends it. */
import { connect } from "node:net"
import { text as textOfStream } from "node:stream/consumers"
import { CohereClient, CohereClientV2 } from "cohere-ai"
import { Ollama } from "ollama"
import sharp from "sharp"
import { afterAll, beforeAll, expect, test } from "vitest"
import { ServedTiny } from "../../../test/served-tiny.ts"

let served: ServedTiny
beforeAll(async () => {
  served = await ServedTiny.start()
})
afterAll(() => served[Symbol.asyncDispose]())

const base64 = (i: number) => Buffer.from(served.pictures[i]!).toString("base64")
const dataUri = (i: number) => `data:image/jpeg;base64,${base64(i)}`

test("cohere-ai: texts, images, and inputs that mix them", async () => {
  const client = new CohereClientV2({ token: "none", environment: served.url })
  const common = { model: "tiny", inputType: "search_query" as const, embeddingTypes: ["float" as const] }
  const texts = await client.embed({ ...common, texts: served.texts.slice(0, 2) })
  served.expectClose(texts.embeddings.float!, ["text 0", "text 1"])
  const images = await client.embed({ ...common, inputType: "image", images: [dataUri(2)] })
  served.expectClose(images.embeddings.float!, ["picture 2"])
  const content = [{ type: "image_url" as const, imageUrl: { url: dataUri(0) } }]
  const inputs = [{ content }, { content: [{ type: "text" as const, text: served.texts[3]! }] }]
  const mixed = await client.embed({ ...common, inputs })
  served.expectClose(mixed.embeddings.float!, ["picture 0", "text 3"])
  expect(mixed.meta?.billedUnits?.images).toBe(1)
})

test("Cohere's other types are the same vector", async () => {
  const embedding_types = ["float", "int8", "uint8", "binary", "ubinary", "base64"]
  const answer = await served.post("/v2/embed", { model: "tiny", texts: [served.texts[0]!], embedding_types })
  const { embeddings } = (await answer.json()) as { embeddings: Record<string, number[][]> & { base64: string[] } }
  const [float, int8, uint8, binary, ubinary] = embedding_types.map((type) => embeddings[type]![0]!) as number[][] &
    [number[], number[], number[], number[], number[]]
  const values = new Float32Array(new Uint8Array(Buffer.from(embeddings.base64[0]!, "base64")).buffer)
  expect([...values]).toEqual(float.map(Math.fround))
  const largest = Math.max(...float.map(Math.abs))
  expect(int8).toEqual(float.map((value) => Math.round((value / largest) * 127)))
  expect(uint8).toEqual(int8.map((value) => value + 128))
  const bits = float.map((value) => (value > 0 ? "1" : "0")).join("")
  expect(ubinary).toEqual([bits.slice(0, 8), bits.slice(8)].map((byte) => Number.parseInt(byte, 2)))
  expect(binary).toEqual(ubinary.map((byte) => byte - 128))
})

test("ollama: texts and data URIs, the tag that it adds, its list of models", async () => {
  const client = new Ollama({ host: served.url })
  const { embeddings, model } = await client.embed({ model: "tiny:latest", input: [served.texts[1]!, dataUri(1)] })
  served.expectClose(embeddings, ["text 1", "picture 1"])
  expect(model).toBe("tiny:latest")
  expect((await client.list()).models.map(({ name }) => name)).toEqual(["tiny"])
  await expect(client.embed({ model: "llava", input: "a" })).rejects.toThrow('no model is served as "llava"')
})

test("ollama's earlier call, and what its clients ask of a model", async () => {
  const client = new Ollama({ host: served.url })
  const { embedding } = await client.embeddings({ model: "tiny", prompt: served.texts[1]! })
  served.expectClose([embedding], ["text 1"])
  const picture = await client.embeddings({ model: "tiny", prompt: dataUri(1) })
  served.expectClose([picture.embedding], ["picture 1"])
  expect((await client.ps()).models.map(({ name }) => name)).toEqual(["tiny"])
  expect(await client.show({ model: "tiny:latest" })).toMatchObject({
    capabilities: ["embedding", "vision"],
    model_info: { "clip.embedding_length": 16, "clip.context_length": 77 },
  })
  await expect(client.show({ model: "llava" })).rejects.toThrow('no model is served as "llava"')
})

test("Ollama's own call by curl, which names the type of a form", async () => {
  const headers = { "content-type": "application/x-www-form-urlencoded" }
  const body = JSON.stringify({ model: "tiny", input: served.texts[0]! })
  const answer = await fetch(`${served.url}/api/embed`, { method: "POST", headers, body })
  const { embeddings } = (await answer.json()) as { embeddings: number[][] }
  served.expectClose(embeddings, ["text 0"])
})

test("tokens are counted as far as the model reads", async () => {
  const input = ["circle ".repeat(200), "a"]
  const ollama = await new Ollama({ host: served.url }).embed({ model: "tiny", input })
  expect(ollama.prompt_eval_count).toBe(77 + 3)
  const cohere = await served.post("/v2/embed", { texts: input })
  expect(await cohere.json()).toMatchObject({ meta: { billed_units: { input_tokens: 77 + 3, images: 0 } } })
})

test("sizes that are not the model's own are refused by Cohere's and Ollama's names", async () => {
  const message = "this model's vectors have 16 values and cannot be shortened"
  const cohere = await served.post("/v2/embed", { texts: ["a"], output_dimension: 8 })
  expect([cohere.status, await cohere.json()]).toEqual([400, { message }])
  const ollama = await served.post("/api/embed", { model: "tiny", input: "a", dimensions: 8 })
  expect([ollama.status, await ollama.json()]).toEqual([400, { error: message }])
})

test("Cohere's earlier interface is refused by name", async () => {
  const client = new CohereClient({ token: "none", environment: served.url })
  await expect(client.embed({ texts: ["a"], model: "tiny", inputType: "search_query" })).rejects.toMatchObject({
    ...{ statusCode: 404, body: { message: "Cohere's v1 is not served: use /v2/embed (CohereClientV2)" } },
  })
})

test("Weaviate's module: vectors of texts and images, what it asks for when it starts", async () => {
  const answer = await served.post("/vectorize", { texts: [served.texts[0]!, served.texts[2]!], images: [base64(1)] })
  const { textVectors, imageVectors } = (await answer.json()) as Record<string, number[][]>
  served.expectClose([...textVectors!, ...imageVectors!], ["text 0", "text 2", "picture 1"])
  for (const path of ["live", "ready"]) expect((await fetch(`${served.url}/.well-known/${path}`)).status).toBe(204)
  expect(await (await fetch(`${served.url}/meta`)).json()).toMatchObject({
    ...{ name: "tiny", projection_dim: 16, image_size: 64 },
  })
  const refused = await served.post("/vectorize", { images: ["###"] })
  expect([refused.status, await refused.json()]).toEqual([
    400,
    { error: "images[0] is not base64: send the bytes of a picture's file in base64" },
  ])
})

/** A request as a program puts it on the wire, after its first line. */
async function send(path: string, headers: readonly string[], body: string): Promise<{ status: number; body: string }> {
  const { hostname, port, host } = new URL(served.url)
  const socket = connect(Number(port), hostname)
  const lines = [`POST ${path} HTTP/1.1`, `Host: ${host}`, ...headers, `Content-Length: ${Buffer.byteLength(body)}`]
  socket.write(`${lines.join("\r\n")}\r\nConnection: close\r\n\r\n${body}`)
  const answer = await textOfStream(socket)
  return { status: Number(answer.split(" ")[1]), body: answer.slice(answer.indexOf("\r\n\r\n") + 4) }
}

test.each([
  ["both lists", (text: string, image: string) => `{"texts":["${text}"],"images":["${image}"]}`],
  ["one of them absent", (text: string) => `{"texts":["${text}"]}`],
  ["one of them null, as its earlier versions", (text: string) => `{"texts":["${text}"],"images":null}`],
])("Weaviate's module in Go names no type of its JSON: %s", async (_what, bodyOf) => {
  const sent = bodyOf(served.texts[1]!, base64(0))
  const { status, body } = await send("/vectorize", ["User-Agent: Go-http-client/1.1", "Accept-Encoding: gzip"], sent)
  const { textVectors, imageVectors } = JSON.parse(body) as Record<string, number[][] | null>
  expect(status).toBe(200)
  served.expectClose(textVectors!, ["text 1"])
  if (sent.includes("images") && !sent.includes("null")) served.expectClose(imageVectors!, ["picture 0"])
  else expect(imageVectors).toBeNull()
})

test("a text that the model reads only in part is refused by clients' wish, and has its beginning's vector else", async () => {
  const long = "a photo of a red circle beside a blue square on green, ".repeat(12)
  const expected = await served.clip((clip) => clip.encodeText(long))
  const cases: [string, object, (answer: unknown) => number[][]][] = [
    ["/api/embed", { model: "tiny", input: long }, (answer) => (answer as { embeddings: number[][] }).embeddings],
    [
      "/v2/embed",
      { model: "tiny", texts: [long] },
      (answer) => (answer as { embeddings: { float: number[][] } }).embeddings.float,
    ],
  ]
  for (const [path, body, vectorsOf] of cases) {
    const [row] = vectorsOf(await (await served.post(path, body)).json())
    expect(Math.max(...row!.map((value, i) => Math.abs(value - expected[i]!)))).toBeLessThan(2e-6)
    const refused = await served.post(path, { ...body, truncate: path === "/v2/embed" ? "NONE" : false })
    expect(refused.status).toBe(400)
    expect(await refused.text()).toContain("a text has more than the 77 tokens that the model reads")
  }
})

function predict(entries: unknown, content: { image?: Uint8Array; text?: string }): Promise<Response> {
  const form = new FormData()
  form.append("entries", typeof entries === "string" ? entries : JSON.stringify(entries))
  if (content.image) form.append("image", new Blob([content.image as Uint8Array<ArrayBuffer>]))
  if (content.text !== undefined) form.append("text", content.text)
  return fetch(`${served.url}/predict`, { method: "POST", body: form })
}

test("Immich's requests for a picture and a text; its database takes the vector as a text", async () => {
  const visual = await predict({ clip: { visual: { modelName: "tiny", options: {} } } }, { image: served.pictures[0]! })
  const seen = (await visual.json()) as { clip: string; imageHeight: number; imageWidth: number }
  served.expectClose([JSON.parse(seen.clip)], ["picture 0"])
  const { width, height } = await sharp(served.pictures[0]!).metadata()
  expect([seen.imageWidth, seen.imageHeight, width === height]).toEqual([width, height, false])
  expect(Math.hypot(...(JSON.parse(seen.clip) as number[]))).toBeCloseTo(1, 5)
  const entries = { clip: { textual: { modelName: "tiny", options: { language: "en" } } } }
  const { clip } = (await (await predict(entries, { text: served.texts[3]! })).json()) as { clip: string }
  served.expectClose([JSON.parse(clip)], ["text 3"])
  expect(await (await fetch(`${served.url}/ping`)).text()).toBe("pong")
})

test.each([
  ["faces", { "facial-recognition": { detection: { modelName: "buffalo_l" } } }, 422, "Invalid request format."],
  ["no JSON", "{", 422, "Invalid request format."],
  ["a text for a picture's model", { clip: { visual: { modelName: "tiny" } } }, 422, "Invalid request format."],
  ["another model", { clip: { textual: { modelName: "ViT-B-32__openai" } } }, 404, /^no model is served as/],
])("Immich's service does not have %s", async (_what, entries, status, detail) => {
  const answer = await predict(entries, { text: "a" })
  expect(answer.status).toBe(status)
  expect(await answer.json()).toEqual({ detail: typeof detail === "string" ? detail : expect.stringMatching(detail) })
})

test("a form without a picture or a text", async () => {
  const answer = await predict({ clip: { textual: { modelName: "tiny" } } }, {})
  expect([answer.status, await answer.json()]).toEqual([400, { detail: "Either image or text must be provided" }])
})
