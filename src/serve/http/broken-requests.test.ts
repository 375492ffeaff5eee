/** Requests that Node refuses before they are whole, over bare sockets: each has an answer with a body, and one record. */
import { once } from "node:events"
import { connect, type Socket } from "node:net"
import { text as textOfStream } from "node:stream/consumers"
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest"
import { ServedTiny } from "../../../test/served-tiny.ts"
import type { RequestRecord } from "./metrics.ts"

let served: ServedTiny
/** Whose time is soon over. */
let hasty: ServedTiny
const records: RequestRecord[] = []
const faults: unknown[] = []
beforeAll(async () => {
  const told = {
    onRequest: (record: RequestRecord) => void records.push(record),
    onFault: (error: unknown) => void faults.push(error),
  }
  served = await ServedTiny.start(told)
  hasty = await ServedTiny.start({ ...told, limits: { seconds: 1 } })
})
afterAll(() => Promise.all([served, hasty].map((each) => each[Symbol.asyncDispose]())))
beforeEach(() => {
  records.length = 0
})

function open({ url } = served): Socket {
  const { hostname, port } = new URL(url)
  return connect(Number(port), hostname).on("error", () => {})
}

interface Answer {
  readonly status: number
  readonly headers: Record<string, string>
  readonly body: unknown
}

/** What comes back until the server closes. */
async function exchange(sent: string | Buffer, server = served): Promise<Answer[]> {
  const socket = open(server)
  socket.write(sent)
  return answersIn(await textOfStream(socket))
}

function answersIn(text: string): Answer[] {
  const answers: Answer[] = []
  for (let rest = text; rest !== ""; ) {
    const [head, ...others] = rest.split("\r\n\r\n")
    const [start, ...lines] = head!.split("\r\n")
    const headers = Object.fromEntries(lines.map((line) => line.toLowerCase().split(/: (.*)/)))
    const [length, after] = [Number(headers["content-length"]), others.join("\r\n\r\n")]
    answers.push({ status: Number(start!.split(" ")[1]), headers, body: JSON.parse(after.slice(0, length)) })
    rest = after.slice(length)
  }
  return answers
}

const recorded = () => records.map(({ method, route, status }) => `${method} ${route} ${status}`)
const refusal = (message: unknown) => ({
  error: { message, type: "invalid_request_error", param: null, code: null },
})
const notHttp = (why: string) =>
  `a request of HTTP/1.1 is expected, and this is not one: send it by an HTTP client (${why})`
const start = (path: string, ...lines: string[]) =>
  [`POST ${path} HTTP/1.1`, "Host: localhost", "Content-Type: application/json", ...lines, "", ""].join("\r\n")

test.each([
  ["what is not HTTP", "hello\r\n\r\n", 400, notHttp("Invalid method encountered")],
  ["TLS", Buffer.from("160301020001fc0303", "hex"), 400, notHttp("Invalid method encountered")],
  ["a header without a colon", start("/v1/embeddings", "none"), 400, notHttp("Invalid header token")],
  [
    "headers of 17 kB",
    start("/v1/embeddings", `X-A: ${"a".repeat(17_000)}`),
    431,
    "the headers have more than 16384 bytes: send fewer, or shorter ones",
  ],
])("%s: it is answered in a line, and written down", async (_what, sent, status, message) => {
  const [answer, ...others] = await exchange(sent)
  expect(others).toEqual([])
  expect(answer).toMatchObject({ status, headers: { "content-type": "application/json", connection: "close" } })
  expect(Math.abs(Date.parse(answer!.headers.date!) - Date.now())).toBeLessThan(60_000)
  expect(answer!.body).toEqual(refusal(message))
  expect(recorded()).toEqual([`null * ${status}`])
  expect(records[0]!.milliseconds).toBeGreaterThan(0)
})

test.each([
  [
    "none",
    "GET /v1/models HTTP/1.1\r\nConnection: close\r\n\r\n",
    "GET /v1/models 400",
    "the request has no Host: send that header with the name or address of this server",
  ],
  [
    "of no name",
    "GET /health HTTP/1.1\r\nHost: a/b\r\nConnection: close\r\n\r\n",
    "null * 400",
    "Invalid host header: a path and a Host are expected",
  ],
])("a Host that is %s", async (_what, sent, line, message) => {
  expect(await exchange(sent)).toMatchObject([{ status: 400, body: refusal(message) }])
  expect(recorded()).toEqual([line])
})

test("a body that breaks is refused in the shape of its path, and is one line in the log", async () => {
  const chunked = (path: string) => `${start(path, "Transfer-Encoding: chunked")}zz\r\n`
  const message = notHttp("Invalid character in chunk size")
  expect(await exchange(chunked("/v1/embeddings"))).toMatchObject([{ status: 400, body: refusal(message) }])
  expect(await exchange(chunked("/api/embed?a=b"))).toMatchObject([{ status: 400, body: { error: message } }])
  await expect.poll(recorded).toEqual(["POST /v1/embeddings 400", "POST /api/embed 400"])
  const extension = `${start("/v1/embeddings", "Transfer-Encoding: chunked")}2;${"a".repeat(20_000)}\r\n`
  expect(await exchange(extension)).toMatchObject([
    { status: 413, body: refusal("a chunk has extensions of more than 16 kB: leave them out") },
  ])
  await expect.poll(() => recorded()[2]).toBe("POST /v1/embeddings 413")
})

test("headers and bodies that do not come in time are 408; a connection without a byte is not a request", async () => {
  const [headers, body, nothing] = await Promise.all([
    exchange("GET /health HTTP/1.1\r\nHost: loc", hasty),
    exchange(`${start("/v1/embeddings", "Content-Length: 100")}{`, hasty),
    exchange("", hasty),
  ])
  const late = (what: string) => refusal(`the ${what} did not come in time: send all at once`)
  expect(headers).toMatchObject([{ status: 408, body: late("headers") }])
  expect(body).toMatchObject([{ status: 408, body: late("body") }])
  expect(nothing).toMatchObject([{ status: 408, body: late("headers") }])
  await expect.poll(() => recorded().sort()).toEqual(["POST /v1/embeddings 408", "null * 408"])
  // A second of the connection, which is looked at every second; a request begins when the machine comes to its head.
  for (const { milliseconds } of records) expect(milliseconds).toBeGreaterThan(300)
})

test("after a good request on the same connection there are two answers and two lines", async () => {
  const answers = await exchange("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\nno\r\n\r\n")
  expect(answers.map(({ status }) => status)).toEqual([400])
  records.length = 0
  const socket = open()
  socket.write("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
  const [first] = (await once(socket, "data")) as [Buffer]
  socket.write("no\r\n\r\n")
  const both = first.toString() + (await textOfStream(socket))
  expect([...both.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status)).toEqual(["200", "400"])
  expect(recorded()).toEqual(["GET /health 200", "null * 400"])
})

test("a request that was refused before it was whole has one answer, whatever its rest is", async () => {
  const socket = open()
  socket.write(start("/v1/embeddings", "Transfer-Encoding: chunked", "Origin: https://evil.test"))
  const [first] = (await once(socket, "data")) as [Buffer]
  socket.write("zz\r\n")
  const all = first.toString() + (await textOfStream(socket))
  expect([...all.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status)).toEqual(["403"])
  expect(recorded()).toEqual(["POST /v1/embeddings 403"])
})

test("a client that closes its side early gets an answer where it still listens; the log has 499", async () => {
  const answersTo = async (sent: string) => {
    const socket = open()
    socket.end(sent)
    return answersIn(await textOfStream(socket))
  }
  const early = { status: 400, body: refusal("the connection ended before the request did: send the whole request") }
  expect(await answersTo("GET /health HT")).toMatchObject([early])
  expect(await answersTo(`${start("/v1/embeddings", "Content-Length: 100")}{`)).toMatchObject([early])
  await expect.poll(recorded).toEqual(["null * 499", "POST /v1/embeddings 499"])
})

test("sockets that are gone, reset with half a request or with what is refused, do no harm", async () => {
  const halves = [
    "",
    "GET /hea",
    `${start("/v1/embeddings", "Content-Length: 100")}{`,
    "no HTTP\r\n\r\n".repeat(1000),
    start("/v1/embeddings", `X-A: ${"a".repeat(100_000)}`),
  ]
  const sockets = Array.from({ length: 100 }, (_, i) => ({ socket: open(), half: halves[i % halves.length]! }))
  await Promise.all(
    sockets.map(async ({ socket, half }) => {
      await once(socket, "connect")
      socket.write(half)
      socket.resetAndDestroy()
      await once(socket, "close")
    }),
  )
  expect((await fetch(`${served.url}/health`)).status).toBe(200)
  const answer = await served.post("/v1/embeddings", { input: served.texts[0]! })
  const { data } = (await answer.json()) as { data: { embedding: number[] }[] }
  served.expectClose([data[0]!.embedding], ["text 0"])
  expect(faults).toEqual([])
})

test("they are counted among all requests", async () => {
  const counted = async () => {
    const text = await (await fetch(`${served.url}/metrics`)).text()
    return Number(/^mobileclip_requests_total\{route="\*",status="431"\} (\d+)$/m.exec(text)?.[1] ?? 0)
  }
  const before = await counted()
  await exchange(start("/v1/embeddings", `X-A: ${"a".repeat(17_000)}`))
  expect(await counted()).toBe(before + 1)
})
