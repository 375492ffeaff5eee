import { join } from "node:path"
import { Validator } from "@seriousme/openapi-schema-validator"
import { afterAll, beforeAll, expect, test } from "vitest"
import { ServedTiny } from "../../../test/served-tiny.ts"
import { tinyCoca, tinyCocaInfo } from "../../../test/tiny-coca.ts"
import { exportModel } from "../../export/export.ts"
import { decodeImage } from "../../host/image/images.ts"
import { readingDefaults } from "../../pictures/reading.ts"
import { loadCaptioner } from "../../weights/load-model.ts"
import { engineDefaults, limitDefaults } from "../defaults.ts"
import { Models } from "../engine/models.ts"
import { createApp } from "../http/app.ts"
import type { RequestRecord } from "../http/metrics.ts"
import { EmbeddingServer } from "../server.ts"

let served: ServedTiny
const records: RequestRecord[] = []
beforeAll(async () => {
  served = await ServedTiny.start({ onRequest: (record) => records.push(record), corsOrigins: ["https://page.test"] })
})
afterAll(() => served[Symbol.asyncDispose]())

const base64 = (i: number) => Buffer.from(served.pictures[i]!).toString("base64")

test("labels of pictures are the library's", async () => {
  const labels = ["circle", "square", "star"]
  for (const templates of [undefined, ["{}", "many of {}, far away"]]) await expectLabels(labels, templates)
})

/** In the scale of cosines, templates change more than they may differ by. */
async function expectLabels(labels: string[], templates: string[] | undefined): Promise<void> {
  const expected = await served.clip((clip) => clip.classify([...served.pictures], labels, { top: 2, templates }))
  const answer = await served.post("/v1/classify", { images: [0, 1, 2].map(base64), labels, top: 2, templates })
  const { results } = (await answer.json()) as { results: typeof expected }
  expect(results.map((each) => each.map(({ label }) => label))).toEqual(
    expected.map((each) => each.map(({ label }) => label)),
  )
  const differences = results.flatMap((each, i) => each.map(({ score }, j) => Math.abs(score - expected[i]![j]!.score)))
  // The logit scale makes some 1e-7 of a cosine some 1e-5.
  expect(Math.max(...differences)).toBeLessThan(5e-5)
  const cosines = results.flatMap((each, i) => each.map(({ cosine }, j) => Math.abs(cosine - expected[i]![j]!.cosine)))
  expect(Math.max(...cosines)).toBeLessThan(2e-6)
}

test.each([
  ["/v1/classify", { images: [], labels: ["a"] }, "images", /^images: /],
  ["/v1/classify", { images: ["AAAA"], labels: ["a"] }, "images", /^the picture is not /],
  ["/v1/classify", { images: ["AAAA"], labels: ["a"], templates: ["no place"] }, "templates", /has no \{\}; write/],
  ["/v1/classify", { images: ["AAAA", "http://a.test/b.jpg"], labels: ["a"] }, "images[1]", /does not fetch/],
  ["/v1/caption", { images: ["AAAA"] }, "images", /^tiny writes no captions/],
])("%s refuses %j and names %s", async (path, body, parameter, message) => {
  const answer = await served.post(path, body)
  expect(answer.status).toBe(400)
  expect(await answer.json()).toMatchObject({ error: { parameter, message: expect.stringMatching(message) } })
})

test("it says that it is well, and what it does in Prometheus' form", async () => {
  expect(await (await fetch(`${served.url}/health`)).json()).toEqual({ status: "ok" })
  expect(await (await fetch(`${served.url}/ready`)).json()).toEqual({ status: "ok", models: ["tiny"] })
  await fetch(`${served.url}/nothing/${Math.random()}`)
  const computed = (text: string) => Number(/mobileclip_computed\{model="tiny",kind="texts"\} (\d+)/.exec(text)?.[1])
  const metrics = async () => (await fetch(`${served.url}/metrics`)).text()
  expect((await fetch(`${served.url}/metrics`)).headers.get("content-type")).toMatch(/^text\/plain; version=/)
  const before = computed(await metrics())
  await served.post("/v1/embeddings", { input: ["two texts", "that nobody asked for"] })
  const text = await metrics()
  expect(computed(text)).toBe(before + 2)
  expect(text).toContain('mobileclip_requests_total{route="/health",status="200"} 1')
  expect(text).toContain('mobileclip_requests_total{route="*",status="404"} 1')
  expect(text).not.toContain("/nothing")
  expect((await served.post("/v1/embeddings", { input: "a", model: "b" })).status).toBe(404)
  expect(await metrics()).toContain('mobileclip_requests_total{route="/v1/embeddings",status="404"} 1')
  expect(records.at(-2)).toMatchObject({ method: "POST", route: "/v1/embeddings", status: 404 })
  expect(text).toMatch(/mobileclip_process_bytes\{model="tiny",kind="resident"\} [1-9]/)
})

interface Described {
  readonly paths: Record<
    string,
    Record<string, { responses: Record<string, unknown>; operationId: string; security: object[] }>
  >
}

test("captions are the library's, as many as are asked for", async () => {
  const model = join(served.folder, "captioner")
  await exportModel(tinyCoca(), tinyCocaInfo, model)
  const captioner = await loadCaptioner(model)
  const images = await Promise.all([0, 1].map((i) => decodeImage(served.pictures[i]!)))
  const expected = await Promise.all(
    images.map(async (image) => (await captioner.caption([image], { perImage: 2 }))[0]!),
  )
  await captioner.dispose()
  const settings = { model, threads: 1, maxPixels: 1e8, ...readingDefaults }
  await using server = await EmbeddingServer.start(new Map([["writer", settings]]), { port: 0, app: false })
  const body = JSON.stringify({ images: [0, 1].map(base64), per_image: 2 })
  const headers = { "content-type": "application/json" }
  const answer = await fetch(`${server.url}/v1/caption`, { method: "POST", headers, body })
  expect(await answer.json()).toEqual({ model: "writer", captions: expected })
  expect(expected.map((each) => each.length)).toEqual([2, 2])
})

test("metrics count what was known, and requests' seconds", async () => {
  const metrics = async () => (await fetch(`${served.url}/metrics`)).text()
  const value = (text: string, name: string) =>
    Number(
      text
        .split("\n")
        .find((line) => line.startsWith(`mobileclip_${name} `))!
        .split(" ")[1],
    )
  const cache = (text: string) => ["hits", "misses"].map((kind) => value(text, `cache{model="tiny",kind="${kind}"}`))
  const [hits, misses] = cache(await metrics())
  for (let i = 0; i < 3; i++) await served.post("/v1/embeddings", { input: "asked for three times" })
  const after = await metrics()
  expect(cache(after)).toEqual([hits! + 2, misses! + 1])
  const taken = records.filter(({ route }) => route === "/v1/embeddings").map(({ milliseconds }) => milliseconds / 1000)
  expect(value(after, 'request_seconds_count{route="/v1/embeddings"}')).toBe(taken.length)
  const sum = taken.reduce((total, seconds) => total + seconds, 0)
  expect(value(after, 'request_seconds_sum{route="/v1/embeddings"}')).toBeCloseTo(sum, 6)
})

test("its description is valid OpenAPI 3.1 and has every route", async () => {
  const document = (await (await fetch(`${served.url}/openapi.json`)).json()) as Described
  const { valid, errors } = await new Validator().validate({ ...document })
  expect([errors ?? [], valid]).toEqual([[], true])
  const described = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path.replace(/\{(\w+)\}/g, ":$1")}`),
  )
  await using models = new Models(new Map(), engineDefaults)
  const context = {
    models,
    index: null,
    thumbnailKeys: null,
    limits: limitDefaults,
    fetchPicture: async () => new Uint8Array(),
  }
  const routes = createApp(context).routes.filter(({ method }) => method !== "ALL")
  // Refused by name; and the search, which this server does not have.
  const hidden = /^(\/v1\/embed|\/v1\/search(\/.*)?|\/openapi\.json)$/
  const declared = routes.filter(({ path }) => !hidden.test(path)).map(({ method, path }) => `${method} ${path}`)
  expect(described.sort()).toEqual([...new Set(declared)].sort())
})

test("its description has refusals as they are, names for generators, and who needs a token", async () => {
  const document = (await (await fetch(`${served.url}/openapi.json`)).json()) as Described
  const { post } = document.paths["/v1/embeddings"]!
  expect(Object.keys(post!.responses)).toEqual([200, 400, 401, 403, 404, 413, 415, 422, 429, 500, 503, 504].map(String))
  expect(post!.responses["404"]).toMatchObject({
    content: {
      "application/json": {
        schema: { properties: { error: { required: ["message", "type", "param", "code"] } } },
      },
    },
  })
  expect(post).toMatchObject({ operationId: "postV1Embeddings", security: [{ token: [] }, {}] })
  expect(document.paths["/health"]!.get!.security).toEqual([])
  expect(document).toMatchObject({ components: { securitySchemes: { token: { type: "http", scheme: "bearer" } } } })
  const names = Object.values(document.paths).flatMap((methods) =>
    Object.values(methods).map((each) => each.operationId),
  )
  expect(new Set(names).size).toBe(names.length)
})

test("what is written down of a request has nothing of its content", () => {
  const [record] = records.filter(({ route }) => route === "/v1/classify")
  expect(record).toEqual({ method: "POST", route: "/v1/classify", status: 200, milliseconds: expect.any(Number) })
  expect(JSON.stringify(records)).not.toMatch(/circle|nobody|nothing/)
})

test("pages of other origins may ask where they are named, and no others", async () => {
  const ask = (origin: string) => fetch(`${served.url}/health`, { headers: { origin } })
  expect((await ask("https://page.test")).headers.get("access-control-allow-origin")).toBe("https://page.test")
  expect((await ask("https://other.test")).headers.get("access-control-allow-origin")).toBeNull()
})

test("with tokens, only who brings one is answered; balancers need none", async () => {
  await using other = await ServedTiny.start({ tokens: ["first", "second"] })
  const ask = (path: string, token?: string) =>
    fetch(`${other.url}${path}`, token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } })
  const statuses = await Promise.all([ask("/v1/models"), ask("/v1/models", "third"), ask("/v1/models", "second")])
  expect(statuses.map(({ status }) => status)).toEqual([401, 401, 200])
  expect(statuses[0]!.headers.get("www-authenticate")).toBe("Bearer")
  const messages = await Promise.all(statuses.slice(0, 2).map(async (answer) => (await answer.json()) as object))
  const sentences = ["a token is expected: send Authorization: Bearer TOKEN", "the token is not one of this server's"]
  expect(messages).toMatchObject(sentences.map((message) => ({ error: { message } })))
  expect((await ask("/health")).status).toBe(200)
  expect((await ask("/metrics")).status).toBe(401)
})
