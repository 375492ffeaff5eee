import { join } from "node:path"
import OpenAI from "openai"
import { afterAll, beforeAll, expect, test } from "vitest"
import { ServedTiny } from "../../../test/served-tiny.ts"
import { Tokenizer } from "../../core/text/tokenizer.ts"
import { readingDefaults } from "../../pictures/reading.ts"
import { EmbeddingServer } from "../server.ts"

let served: ServedTiny
let client: OpenAI
beforeAll(async () => {
  served = await ServedTiny.start()
  client = new OpenAI({ baseURL: `${served.url}/v1`, apiKey: "none", maxRetries: 0 })
})
afterAll(() => served[Symbol.asyncDispose]())

const dataUri = (bytes: Uint8Array) => `data:image/jpeg;base64,${Buffer.from(bytes).toString("base64")}`

test("openai's client, which asks for base64, gets the library's vectors of texts and data URIs", async () => {
  const input = [served.texts[0]!, dataUri(served.pictures[0]!), served.texts[1]!]
  const { data, model, usage } = await client.embeddings.create({ model: "tiny", input })
  served.expectClose(
    data.map(({ embedding }) => embedding),
    ["text 0", "picture 0", "text 1"],
  )
  expect(data.map(({ index }) => index)).toEqual([0, 1, 2])
  expect(model).toBe("tiny")
  const tokenizer = new Tokenizer()
  const tokens = served.texts.slice(0, 2).map((text) => tokenizer.encode(text).length)
  expect(usage).toEqual({ prompt_tokens: tokens[0]! + tokens[1]!, total_tokens: tokens[0]! + tokens[1]! })
})

test("as numbers they are the same", async () => {
  const { data } = await client.embeddings.create({ model: "tiny", input: served.texts[2]!, encoding_format: "float" })
  served.expectClose([data[0]!.embedding], ["text 2"])
})

test("with modality text, a data URI is a text", async () => {
  const uri = `data:image/png;base64,${"A".repeat(40)}`
  const answer = await post({ input: uri, modality: "text" })
  const { data } = (await answer.json()) as { data: { embedding: number[] }[] }
  const expected = await served.clip((clip) => clip.encodeText(uri))
  expect(Math.max(...data[0]!.embedding.map((value, i) => Math.abs(value - expected[i]!)))).toBeLessThan(2e-6)
})

test("of a long text, as many tokens are counted as the model reads", async () => {
  const { usage } = await client.embeddings.create({ model: "tiny", input: ["circle ".repeat(200), "a"] })
  expect(usage.total_tokens).toBe(77 + 3)
})

test("a model is told by its name", async () => {
  expect(await client.models.retrieve("tiny")).toEqual({
    id: "tiny",
    object: "model",
    created: 0,
    owned_by: "mobileclip",
  })
  await expect(client.models.retrieve("owner/other")).rejects.toMatchObject({
    ...{ status: 404, code: "model_not_found", param: "model" },
    error: { message: 'no model is served as "owner/other"; name one of these: tiny' },
  })
})

test("the models that are served are listed", async () => {
  const names: string[] = []
  for await (const { id } of client.models.list()) names.push(id)
  expect(names).toEqual(["tiny"])
})

test("who names no model is told the name that the first one is served under", async () => {
  await using other = await ServedTiny.start({}, ["alias", "second"])
  const answer = await other.post("/v1/embeddings", { input: "a" })
  expect(await answer.json()).toMatchObject({ model: "alias" })
})

const post = (body: unknown) => served.post("/v1/embeddings", body)

test("objects, NVIDIA's and infinity's mixtures, and vLLM's messages", async () => {
  const [text, picture] = [served.texts[0]!, dataUri(served.pictures[1]!)]
  const bare = picture.slice(picture.indexOf(",") + 1)
  const cases: [object, string[]][] = [
    [{ input: [{ text }, { image: picture }, { image: bare }] }, ["text 0", "picture 1", "picture 1"]],
    [{ input: [text, { image: picture }], modality: "text" }, ["text 0", "picture 1"]],
    [{ input: [bare], modality: "image" }, ["picture 1"]],
    [
      {
        messages: [
          {
            role: "user",
            content: [
              { type: "image_url", image_url: { url: picture } },
              { type: "text", text: "" },
            ],
          },
        ],
      },
      ["picture 1"],
    ],
    [{ messages: [{ role: "user", content: text }] }, ["text 0"]],
  ]
  for (const [body, names] of cases) {
    const { data } = (await (await post(body)).json()) as { data: { embedding: number[] }[] }
    served.expectClose(
      data.map(({ embedding }) => embedding),
      names,
    )
  }
})

/** Bodies as these programs send them, with the fields that mean nothing here. */
test.each([
  [
    "vLLM's client for pooling models",
    (text: string, picture: string) => ({
      model: "tiny",
      messages: [
        {
          role: "user",
          content: [
            { type: "image_url", image_url: { url: picture, detail: "auto" } },
            { type: "text", text: "" },
          ],
        },
      ],
      ...{ encoding_format: "float", truncate_prompt_tokens: -1, add_special_tokens: true, user: text },
    }),
    ["picture 0"],
  ],
  [
    "infinity's client",
    (_text: string, picture: string) => ({
      ...{ model: "tiny", input: [picture], modality: "image", encoding_format: "float", user: null },
    }),
    ["picture 0"],
  ],
  [
    "LangChain.js' OpenAIEmbeddings",
    (text: string) => ({ model: "tiny", input: [text, text], encoding_format: "base64" }),
    ["text 0", "text 0"],
  ],
  [
    "LlamaIndex' OpenAIEmbedding",
    (text: string) => ({ model: "tiny", input: [text], encoding_format: "base64" }),
    ["text 0"],
  ],
  [
    "a client that writes null where nothing is set",
    (text: string) => ({
      ...{ model: null, input: text, messages: null, encoding_format: null, modality: null, dimensions: null },
    }),
    ["text 0"],
  ],
  [
    "Jina's v4 form",
    (text: string, picture: string) => ({
      ...{ model: "tiny", input: [{ text }, { image: picture }], normalized: true, embedding_type: "float" },
    }),
    ["text 0", "picture 0"],
  ],
  [
    "NVIDIA's NIM",
    (text: string, picture: string) => ({
      ...{ model: "tiny", input: [text, picture], input_type: "query", truncate: "NONE", encoding_format: "float" },
    }),
    ["text 0", "picture 0"],
  ],
])("%s is answered", async (_program, bodyOf, names) => {
  const answer = await post(bodyOf(served.texts[0]!, dataUri(served.pictures[0]!)))
  const { data } = (await answer.json()) as { data: { embedding: string | number[] }[] }
  const rows = data.map(({ embedding }) => (typeof embedding === "string" ? floatsOf(embedding) : embedding))
  served.expectClose(rows, names)
})

function floatsOf(base64: string): number[] {
  const bytes = new Uint8Array(Buffer.from(base64, "base64"))
  return [...new Float32Array(bytes.buffer)]
}

test("a text and a picture of one message are their mean, of length 1", async () => {
  const content = [
    { type: "text", text: served.texts[0]! },
    { type: "image_url", image_url: dataUri(served.pictures[0]!) },
  ]
  const answer = await post({ messages: [{ role: "user", content }] })
  const { data } = (await answer.json()) as { data: { embedding: number[] }[] }
  const mean = served.vector("text 0").map((value, i) => value + served.vector("picture 0")[i]!)
  const length = Math.hypot(...mean)
  const wanted = mean.map((value) => value / length)
  expect(Math.max(...data[0]!.embedding.map((value, i) => Math.abs(value - wanted[i]!)))).toBeLessThan(2e-6)
})

test.each([
  [{ input: [1, 2, 3] }, 400, /^input holds token ids/],
  [{ input: [[1], [2]] }, 400, /^input holds token ids/],
  [{ input: [] }, 400, /^input is an empty list/],
  [{}, 400, /^either input or messages/],
  [{ input: "a", dimensions: 8 }, 400, /^this model's vectors have 16 values/],
  [{ input: "a", model: "tini" }, 404, /^no model is served as "tini"; name one of these: tiny/],
  [{ input: { image: "###" } }, 400, /^input is not base64/],
  [{ input: [{ image: "data:image/png,abc" }] }, 400, /^input\[0\] is a data URI without base64/],
  [{ input: { image: Buffer.from("no picture").toString("base64") } }, 400, /^the picture is not /],
  [{ input: { image: "http://127.0.0.1/a.jpg" } }, 400, /^this server does not fetch pictures/, "input"],
  [{ input: ["a", { image: "https://a.test/b.jpg" }] }, 400, /^this server does not fetch pictures/, "input[1]"],
  [{ input: "a", encoding_format: "int3" }, 400, /^encoding_format: /],
  [{ input: Array(3000).fill("a") }, 413, /^input has 3000 parts, and a request may have 2048/],
])("%j is %i, in OpenAI's shape", async (body, status, message, param: string = expect.any(String)) => {
  const answer = await post(body)
  expect(answer.status).toBe(status)
  expect(await answer.json()).toMatchObject({
    error: { message: expect.stringMatching(message), type: "invalid_request_error", param },
  })
})

test("a model that is gone when it is asked for is unavailable: the log is told why, the client is not", async () => {
  const faults: unknown[] = []
  const settings = { threads: 1, maxPixels: 1e8, ...readingDefaults }
  await using server = await EmbeddingServer.start(
    new Map([
      ["tiny", { ...settings, model: join(served.folder, "tiny") }],
      ["gone", { ...settings, model: join(served.folder, "gone") }],
    ]),
    { port: 0, onFault: (error) => faults.push(error) },
  )
  const headers = { "content-type": "application/json" }
  const body = JSON.stringify({ input: "a", model: "gone" })
  const answer = await fetch(`${server.url}/v1/embeddings`, { method: "POST", headers, body })
  const message = "the model cannot compute now; the server's log says why"
  expect([answer.status, await answer.json()]).toMatchObject([503, { error: { message, type: "server_error" } }])
  expect(faults).toEqual([expect.objectContaining({ message: expect.stringContaining(join(served.folder, "gone")) })])
})

test.each([
  ["a body that is not JSON", "POST", "/v1/embeddings", 400, null, "the body is not JSON: an object is expected"],
  ["a path that is not there", "GET", "/v1/nothing", 404, "not_found", "there is no /v1/nothing"],
  ["a path of other methods", "GET", "/v1/embeddings", 405, null, "/v1/embeddings takes POST, not GET"],
  ["a path of another method", "POST", "/v1/models", 405, null, "/v1/models takes GET, not POST"],
])("%s", async (_what, method, path, status, code, message) => {
  const headers = { "content-type": "application/json" }
  const answer = await fetch(`${served.url}${path}`, { method, headers, ...(method === "POST" && { body: "{" }) })
  const error = { message, type: "invalid_request_error", param: null, code }
  expect([answer.status, await answer.json()]).toEqual([status, { error }])
  expect(answer.headers.get("allow")).toBe(status === 405 ? (method === "GET" ? "POST" : "GET") : null)
})

test("a wrong model has a code of its own, by which clients know it", async () => {
  await expect(client.embeddings.create({ model: "tini", input: "a" })).rejects.toMatchObject({
    ...{ status: 404, code: "model_not_found", param: "model" },
  })
})
