/** Requests as no client of good will sends them: each is refused in one line, and others are answered meanwhile. */
import { once } from "node:events"
import { readdirSync, readFileSync } from "node:fs"
import { connect, type Socket } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import { crc32, deflateSync, gzipSync } from "node:zlib"
import sharp from "sharp"
import { afterAll, afterEach, beforeAll, expect, test } from "vitest"
import { ServedTiny } from "../../../test/served-tiny.ts"
import type { FetchPicture } from "./content.ts"
import type { RequestRecord } from "./metrics.ts"

let served: ServedTiny
/** Whose time is soon over. */
let hasty: ServedTiny
/** Whose requests have eight parts. */
let narrow: ServedTiny
let png: Buffer
const [records, faults]: [RequestRecord[], unknown[]] = [[], []]
beforeAll(async () => {
  // Before there are connections: it takes a while, in which they would end.
  png = largePng()
  const limits = { bodyBytes: 2e6, bodiesBytes: 5e6, pixels: 1e7 }
  const onFault = (error: unknown) => faults.push(error)
  served = await ServedTiny.start({ limits, onFault, onRequest: (record) => records.push(record) })
  hasty = await ServedTiny.start({ limits: { ...limits, seconds: 2 }, onFault })
  narrow = await ServedTiny.start({ limits: { parts: 8 }, onFault })
})
afterAll(() => Promise.all([served, hasty, narrow].map((each) => each[Symbol.asyncDispose]())))

afterEach(async () => {
  const answer = await served.post("/v1/embeddings", { input: served.texts[0]! })
  const { data } = (await answer.json()) as { data: { embedding: number[] }[] }
  served.expectClose(
    data.map(({ embedding }) => embedding),
    ["text 0"],
  )
  expect(faults).toEqual([])
})

/** What is sent as it stands, with pauses in milliseconds; what comes back until the server closes. */
function raw(...parts: (string | Buffer | number)[]): Promise<string> {
  return exchange(served, parts)
}

async function exchange(server: ServedTiny, parts: readonly (string | Buffer | number)[]): Promise<string> {
  const socket = open(server)
  const answer = received(socket)
  for (const part of parts) {
    if (socket.destroyed) break
    if (typeof part === "number") await sleep(part)
    else socket.write(part)
  }
  return answer
}

function open(server = served): Socket {
  const { hostname, port } = new URL(server.url)
  return connect(Number(port), hostname).on("error", () => {})
}

async function received(socket: Socket, milliseconds = 30_000): Promise<string> {
  let text = ""
  socket.on("data", (data) => {
    text += data.toString("latin1")
  })
  const timer = setTimeout(() => socket.destroy(), milliseconds)
  await once(socket, "close")
  clearTimeout(timer)
  return text
}

const head = (...lines: string[]) =>
  ["POST /v1/embeddings HTTP/1.1", "Host: localhost", "Content-Type: application/json", ...lines, "", ""].join("\r\n")
const json = '{"input":"a"}'
const statuses = (answer: string) => [...answer.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => Number(status))

test.each([
  ["both lengths", head("Content-Length: 13", "Transfer-Encoding: chunked"), `0\r\n\r\n${json}`],
  ["two lengths", head("Content-Length: 13", "Content-Length: 5"), json],
  ["a length that is not a number", head("Content-Length: 0x0d"), json],
  ["a chunk of no size", head("Transfer-Encoding: chunked"), `zz\r\n${json}\r\n0\r\n\r\n`],
  ["a chunk longer than it says", head("Transfer-Encoding: chunked"), `2\r\n${json}\r\n0\r\n\r\n`],
  ["an unknown encoding", head("Transfer-Encoding: chunked, gzip"), `d\r\n${json}\r\n0\r\n\r\n`],
  ["a header that is folded", head("X-A: b", " c", "Transfer-Encoding:", " chunked"), `d\r\n${json}\r\n0\r\n\r\n`],
  ["a space before the colon", head("Transfer-Encoding : chunked"), `d\r\n${json}\r\n0\r\n\r\n`],
  ["a header without a name", head(": a", "Content-Length: 13"), json],
  ["a zero byte in a header", head("X-A: \0", "Content-Length: 13"), json],
])("%s: no second request is seen in it", async (_what, start, body) => {
  const smuggled = "GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
  const answer = await raw(start, body, smuggled)
  expect(statuses(answer)).toEqual([400])
  expect(answer).not.toContain('"object":"list"')
})

test("headers beyond 16 kB are 431", async () => {
  expect(statuses(await raw(head(`X-A: ${"a".repeat(20_000)}`, "Content-Length: 13"), json))).toEqual([431])
  const many = Array.from({ length: 3000 }, (_, i) => `X-${i}: a`)
  expect(statuses(await raw(head(...many, "Content-Length: 13"), json))).toEqual([431])
})

test("bodies over the limit are 413, whether they say their length or not, and none of them is kept", async () => {
  const answer = await served.post("/v1/embeddings", { input: "a".repeat(2e6) })
  expect(answer.status).toBe(413)
  expect(await answer.json()).toMatchObject({ error: { message: "a request may have 2000000 bytes" } })
  const chunk = `10000\r\n${"a".repeat(0x10000)}\r\n`
  expect(statuses(await raw(head("Transfer-Encoding: chunked"), ...Array(40).fill(chunk), "0\r\n\r\n"))).toEqual([413])
})

test("bodies that together hold too many bytes are 429, until others are done", async () => {
  const half = Buffer.alloc(1_800_000, "a")
  const sockets = Array.from({ length: 3 }, () => open(hasty))
  const answers = sockets.map((socket) => received(socket))
  for (const socket of sockets) socket.write(head("Content-Length: 1900000"))
  for (const socket of sockets) socket.write(half)
  const late = await Promise.race(answers)
  expect(late).toContain("\r\nretry-after: 1\r\n")
  expect(statuses(late)).toEqual([429])
  // The others send no more: they are ended.
  expect((await Promise.all(answers)).map((answer) => statuses(answer)).sort()).toEqual([[408], [408], [429]])
})

test("clients that are slow with headers or bodies are ended after the time limit", async () => {
  const began = performance.now()
  const [headers, body] = await Promise.all([
    exchange(hasty, ["POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\n", ...drip("X-A: b\r\n")]),
    exchange(hasty, [head("Content-Length: 1000"), ...drip("{")]),
  ])
  expect([statuses(headers), statuses(body)]).toEqual([[408], [408]])
  // After two seconds, which are looked at every second; such a client would go on for 20.
  expect(performance.now() - began).toBeGreaterThan(1900)
})

/** For 20 seconds, or until the connection ends. */
function drip(part: string): (string | number)[] {
  return Array.from({ length: 40 }, () => [part, 500]).flat()
}

test("a body that is half sent, and a client that goes away, leave nothing", async () => {
  const before = records.length
  const socket = open()
  socket.write(head("Content-Length: 100000", "Expect: 100-continue"))
  // The request has begun.
  await once(socket, "data")
  await new Promise((resolve) => socket.write('{"input":', resolve))
  socket.destroy()
  while (records.length === before) await sleep(10)
  expect(records.slice(before).map(({ status }) => status)).toEqual([499])
})

test("a client that does not read its answer does not hold others, and is left", async () => {
  // Five times 27 MB: more than fits between the two ends.
  const name = readdirSync("dist/app/assets").find((each) => /^ort-wasm.*asyncify.*\.wasm$/.test(each))
  const socket = open(hasty)
  socket.pause()
  socket.write(`GET /assets/${name} HTTP/1.1\r\nHost: localhost\r\n\r\n`.repeat(5))
  const answer = await hasty.post("/v1/embeddings", { input: hasty.texts[1]! })
  expect(answer.status).toBe(200)
  // Node looks after five seconds more than a request may take, and again after as many whether anything was sent meanwhile.
  await sleep(20_000)
  const text = await received(socket.resume())
  const length = Number(/content-length: (\d+)/i.exec(text)![1])
  expect(text.length).toBeGreaterThan(1000)
  expect(text.length).toBeLessThan(5 * length)
})

test("pipelined requests are answered in their order, and HTTP/1.0 once", async () => {
  const body = (input: string) => JSON.stringify({ input, encoding_format: "base64" })
  const one = (input: string) => head(`Content-Length: ${body(input).length}`) + body(input)
  const last = head("Content-Length: 13", "Connection: close") + json
  const answer = await raw(one("a") + one("b") + one("a") + last)
  const vectors = [...answer.matchAll(/"embedding":"?([^"]+)/g)].map(([, vector]) => vector)
  expect(statuses(answer)).toEqual([200, 200, 200, 200])
  expect(vectors[0]).toBe(vectors[2])
  expect(vectors[0]).not.toBe(vectors[1])
  const old = await raw(`POST /v1/embeddings HTTP/1.0\r\nContent-Length: 13\r\n\r\n${json}`)
  expect(statuses(old)).toEqual([200])
})

const deep = (open: string, close: string) => open.repeat(15_000) + close.repeat(15_000)

test.each([
  ["15,000 arrays in each other", `{"input":${deep("[", "]")}}`],
  ["15,000 objects in each other", `{"input":${deep('{"text":', "}").replace("}", "1}")}}`],
  [
    "objects in a field that nobody reads",
    `{"input":"","options":${deep('{"a":', "}").replace("}", "1}")},"input":[]}`,
  ],
  ["huge numbers", '{"input":"a","dimensions":1e999}'],
  ["a number of a million digits", `{"input":"a","dimensions":${"9".repeat(1e6)}}`],
  ["token ids", `{"input":[${Array(1000).fill(49406)}]}`],
  ["lists of token ids", '{"input":[[49406,320,49407]]}'],
  ["no JSON", "{"],
  ["nothing", ""],
  ["null", "null"],
  ["a prototype", '{"__proto__":{"input":"a"},"constructor":1}'],
  ["invalid UTF-8", Buffer.from([...Buffer.from('{"input":"'), 0xff, 0xfe, ...Buffer.from('"}')])],
  ["UTF-16", Buffer.from(json, "utf16le")],
  ["gzip", gzipSync(json)],
])("%s: 400 in one line", async (_what, body) => {
  const headers = { "content-type": "application/json" }
  const answer = await fetch(`${served.url}/v1/embeddings`, { method: "POST", headers, body })
  const { error } = (await answer.json()) as { error: { message: string } }
  expect(answer.status).toBe(400)
  expect(error.message.length).toBeLessThan(300)
  expect(error.message).not.toMatch(/\n|\/src\/|\/tmp\//)
})

test("a body of another type is refused by name; without a type it is JSON", async () => {
  const ask = (type: string) =>
    fetch(`${served.url}/v1/embeddings`, { method: "POST", headers: { "content-type": type }, body: json })
  for (const type of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=a"]) {
    const answer = await ask(type)
    expect(answer.status).toBe(415)
    const message = "a body of application/json is expected: send Content-Type: application/json"
    expect(await answer.json()).toMatchObject({ error: { message } })
  }
  expect((await ask("application/json; charset=utf-8")).status).toBe(200)
  const untyped = `POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 13\r\n\r\n${json}`
  expect(statuses(await raw(untyped))).toEqual([200])
})

const many = Array(9).fill("a")
const parts = (count: number) => ({ role: "user", content: Array(count).fill({ type: "text", text: "a" }) })

test.each<[string, object]>([
  ["/v1/embeddings", { input: many }],
  ["/v1/embeddings", { messages: [parts(4), parts(5)] }],
  ["/v2/embed", { texts: many }],
  ["/v2/embed", { images: many }],
  ["/v2/embed", { inputs: Array(3).fill({ content: parts(3).content }) }],
  ["/api/embed", { model: "tiny", input: many }],
  ["/api/embed", { model: "tiny", input: many.slice(4), images: many.slice(5) }],
  ["/vectorize", { texts: many.slice(4), images: many.slice(5) }],
  ["/v1/classify", { images: ["a"], labels: many.slice(1) }],
  ["/v1/classify", { images: ["a"], labels: many.slice(5), templates: ["{}", "a {}"] }],
  ["/v1/caption", { images: many }],
  ["/v1/search", { query: "a", minus: many.slice(2) }],
])("%s has no more than the parts of a request: %j", async (path, body) => {
  const answer = await narrow.post(path, body)
  expect(answer.status).toBe(413)
  expect(await answer.text()).toContain("has 9 parts, and a request may have 8")
})

test("what takes longer than its time is 504, and ends what it began", async () => {
  const ended: unknown[] = []
  const fetchPicture: FetchPicture = (_url, _field, signal) =>
    new Promise((_, reject) => {
      signal.addEventListener("abort", () => {
        ended.push(signal.reason)
        reject(signal.reason)
      })
    })
  await using silent = await ServedTiny.start({ limits: { seconds: 1 }, fetchPicture })
  const began = performance.now()
  const answer = await silent.post("/v1/embeddings", { input: { image: "http://a.test/" } })
  expect(performance.now() - began).toBeGreaterThan(990)
  const message = "the request took longer than 1 s"
  expect([answer.status, await answer.json()]).toMatchObject([504, { error: { message, type: "server_error" } }])
  expect(ended).toEqual([expect.objectContaining({ kind: "timeout", message })])
})

test("a fault of ours is told without its message, which may name a path, and written down with it", async () => {
  const told: unknown[] = []
  const fault = new TypeError("cannot read /home/anna/secret")
  const fetchPicture: FetchPicture = () => Promise.reject(fault)
  await using broken = await ServedTiny.start({ fetchPicture, onFault: (error) => told.push(error) })
  const answer = await broken.post("/v1/embeddings", { input: { image: "http://a.test/" } })
  const message = "an unexpected error in mobileclip; its log says more"
  const error = { message, type: "server_error", param: null, code: null }
  expect([answer.status, await answer.json()]).toEqual([500, { error }])
  expect(told).toEqual([fault])
})

test("10,000 parts are refused, of a list and of a form", async () => {
  const answer = await served.post("/v1/embeddings", { input: Array(10_000).fill("a") })
  expect(answer.status).toBe(413)
  const form = new FormData()
  for (let i = 0; i < 10_000; i++) form.append("image", "a")
  const predicted = await fetch(`${served.url}/predict`, { method: "POST", body: form })
  expect(predicted.status).toBe(413)
})

/** A whole PNG file, of one bit for each pixel: 112 MB of zeros. */
function largePng(): Buffer {
  const chunk = (name: string, data: Buffer) => {
    const [size, body, sum] = [Buffer.alloc(4), Buffer.concat([Buffer.from(name), data]), Buffer.alloc(4)]
    size.writeUInt32BE(data.length)
    sum.writeUInt32BE(crc32(body))
    return Buffer.concat([size, body, sum])
  }
  const head = Buffer.alloc(13)
  head.writeUInt32BE(30_000, 0)
  head.writeUInt32BE(30_000, 4)
  head[8] = 1
  const rows = deflateSync(Buffer.alloc(30_000 * (1 + 30_000 / 8)))
  const signature = Buffer.from("89504e470d0a1a0a", "hex")
  return Buffer.concat([signature, chunk("IHDR", head), chunk("IDAT", rows), chunk("IEND", Buffer.alloc(0))])
}

function blank(format: "webp" | "avif" | "tiff" | "jpeg"): Promise<Buffer> {
  const create = { width: 4000, height: 4000, channels: 3, background: "white" } as const
  return sharp({ create }).toFormat(format, { effort: 0, compression: "deflate" }).toBuffer()
}

/** Processor time that the model's process took so far: pictures are decoded there. */
function modelSeconds(): number {
  const line = readFileSync(`/proc/${served.server.pids()[0]}/stat`, "latin1")
  const [user, system] = line
    .slice(line.lastIndexOf(")") + 2)
    .split(" ")
    .slice(11, 13)
    .map(Number)
  return (user! + system!) / clockTicks
}

/** A second, on Linux. */
const clockTicks = 100

test.each(["png", "webp", "avif", "tiff", "jpeg"] as const)(
  "a %s that unfolds to many times its size is refused by its head",
  async (format) => {
    const bytes = format === "png" ? png : await blank(format)
    expect(bytes.length).toBeLessThan(300_000)
    // What decodes is loaded by the first one.
    await served.post("/v1/embeddings", { input: { image: Buffer.from(served.pictures[0]!).toString("base64") } })
    const began = modelSeconds()
    const answer = await served.post("/v1/embeddings", { input: { image: bytes.toString("base64") } })
    // The PNG alone takes many times as long to unfold.
    expect(modelSeconds() - began).toBeLessThan(0.3)
    expect(answer.status).toBe(400)
    const { error } = (await answer.json()) as { error: { message: string } }
    const side = format === "png" ? 30_000 : 4000
    expect(error.message).toContain(`the picture has ${side} x ${side} pixels, more than the limit of 10,000,000`)
  },
)

test("a text of a million characters has the vector that the library gives it", async () => {
  const text = `${"a photo of two yellow triangles beside a star, ".repeat(20)}${"a".repeat(1e6)}`
  const answer = await served.post("/v1/embeddings", { input: [text] })
  const { data } = (await answer.json()) as { data: { embedding: number[] }[] }
  const expected = await served.clip((clip) => clip.encodeText(text))
  const largest = Math.max(...data[0]!.embedding.map((value, i) => Math.abs(value - expected[i]!)))
  expect(largest).toBeLessThan(2e-6)
})

/** Milliseconds of a processor that this process, the server's, took since `began`: what else a busy machine does takes none of it. */
function processorTime(began: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(began)
  return (user + system) / 1000
}

/** The processor's time in which the slowest answer comes that others get meanwhile, in milliseconds. */
async function waitOfOthers(work: Promise<unknown>): Promise<number> {
  let [slowest, isOver] = [0, false]
  const asking = (async () => {
    while (!isOver) {
      const began = process.cpuUsage()
      await (await fetch(`${served.url}/health`)).text()
      slowest = Math.max(slowest, processorTime(began))
    }
  })()
  await work
  isOver = true
  await asking
  return slowest
}

const times = (count: number, text: string) => Array(count).fill(text).join(",")

// Checked value by value, half a million take a minute, in which nobody is answered.
test.each([
  ["/v1/embeddings", `{"input":[${times(350_000, "null")}]}`],
  ["/v1/embeddings", `{"input":[${times(300_000, "[1.5]")}]}`],
  ["/v1/embeddings", `{"messages":[{"role":"u","content":[${times(80_000, '{"type":"x"}')}]}]}`],
  ["/v1/embeddings", "[".repeat(1_900_000)],
  ["/v2/embed", `{"inputs":[${times(300_000, "{}")}]}`],
  ["/v2/embed", `{"texts":["a"],"embedding_types":[${times(150_000, '"float"')}]}`],
  ["/api/embed", `{"model":"tiny","input":[${times(400_000, "1")}]}`],
  ["/v1/search", `{"query":[${times(300_000, "{}")}]}`],
])(
  "%s: hundreds of thousands of values are refused before they are looked at, and others are answered",
  async (path, body) => {
    const asked = fetch(`${served.url}${path}`, { method: "POST", headers: jsonType, body })
    const slowest = await waitOfOthers(asked)
    expect((await asked).status).toBe(413)
    expect(slowest).toBeLessThan(2000)
  },
)

const jsonType = { "Content-Type": "application/json" }

test("as many wrong values as a request may have are refused at once, by the first of them", async () => {
  const began = process.cpuUsage()
  const answer = await served.post("/v1/embeddings", { input: Array(15_000).fill(null) })
  expect([answer.status, processorTime(began) < 2000]).toEqual([400, true])
})

test("strings are no values: quotes and brackets within them do not count", async () => {
  const text = `${'\\"[{,'.repeat(20_000)}\\\\`
  const answer = await served.post("/v1/embeddings", { input: text })
  expect(answer.status).toBe(200)
})

test("forms of many fields are 413", async () => {
  const field = '--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n'
  const body = `${field.repeat(30_000)}--b--\r\n`
  const headers = { "Content-Type": "multipart/form-data; boundary=b" }
  const asked = fetch(`${served.url}/predict`, { method: "POST", headers, body })
  expect(await waitOfOthers(asked)).toBeLessThan(2000)
  expect((await asked).status).toBe(413)
})

test("scores of many labels for many pictures are refused before anything is computed", async () => {
  const images = Array(300).fill("aaaa")
  const labels = Array.from({ length: 300 }, (_, i) => `label ${i}`)
  const answer = await served.post("/v1/classify", { images, labels })
  expect([answer.status, await answer.json()]).toMatchObject([413, { error: { parameter: "top" } }])
})

test("a type that is asked for twice is sent once", async () => {
  const answer = await served.post("/v2/embed", { texts: ["a"], embedding_types: ["float", "ubinary", "float"] })
  const { embeddings } = (await answer.json()) as { embeddings: object }
  expect(Object.keys(embeddings)).toEqual(["float", "ubinary"])
})

test("what takes JSON of any type takes none of another page", async () => {
  const ask = (headers: HeadersInit) =>
    fetch(`${served.url}/api/embed`, { method: "POST", headers, body: '{"model":"tiny","input":"a"}' })
  const type = { "Content-Type": "text/plain" }
  expect((await ask(type)).status).toBe(200)
  expect((await ask({ ...type, Origin: "https://evil.test" })).status).toBe(403)
  expect((await ask({ ...type, "Sec-Fetch-Site": "cross-site" })).status).toBe(403)
})

test("another page may not make this machine compute, with a type or without", async () => {
  const ask = (headers: HeadersInit, { url } = served) =>
    fetch(`${url}/v1/embeddings`, { method: "POST", headers, body: json })
  const { host } = new URL(served.url)
  expect((await ask({ Origin: "https://evil.test", "Content-Type": "" })).status).toBe(403)
  expect((await ask({ Origin: `http://${host}`, "Sec-Fetch-Site": "cross-site" })).status).toBe(403)
  expect((await ask({ Origin: "http://localhost:5173", "Sec-Fetch-Site": "same-site" })).status).toBe(403)
  expect((await ask({ ...jsonType, Origin: `http://${host}` })).status).toBe(200)
  expect((await ask({ ...jsonType, Origin: "https://proxy.test", "Sec-Fetch-Site": "same-origin" })).status).toBe(200)
  await using open = await ServedTiny.start({ corsOrigins: ["https://friend.test"] })
  expect((await ask({ ...jsonType, Origin: "https://friend.test", "Sec-Fetch-Site": "cross-site" }, open)).status).toBe(
    200,
  )
})
