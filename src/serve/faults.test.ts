/** A server whose processes die, whose queues are full, whose clients leave, and that is stopped: under load. */
import { once } from "node:events"
import { renameSync } from "node:fs"
import { Agent, type IncomingMessage, request } from "node:http"
import { connect } from "node:net"
import { join } from "node:path"
import { text as textOfStream } from "node:stream/consumers"
import { setTimeout as sleep } from "node:timers/promises"
import { expect, test } from "vitest"
import { ServedTiny } from "../../test/served-tiny.ts"
import { lifetimeDefaults } from "./processes/lasting.ts"

/** The same pixels in a file of other bytes, so that no cache knows it. */
function variant(picture: Uint8Array, n: number): string {
  const comment = Buffer.from(String(n).padStart(8, "0"))
  const start = Buffer.from([0xff, 0xd8, 0xff, 0xfe, 0, comment.length + 2])
  return Buffer.concat([start, comment, picture.subarray(2)]).toString("base64")
}

const embeddings = async (answer: Response) =>
  ((await answer.json()) as { data: { embedding: number[] }[] }).data.map(({ embedding }) => embedding)

async function metric(served: ServedTiny, line: RegExp): Promise<number> {
  const text = await (await fetch(`${served.url}/metrics`)).text()
  return Number(line.exec(text)?.[1])
}

test("its process is killed time and again: no request is lost", async () => {
  await using served = await ServedTiny.start()
  let [next, isOver] = [0, false]
  const client = async () => {
    while (!isOver) {
      const n = next++
      const input = n % 2 ? served.texts[n % 4]! : { image: variant(served.pictures[n % 3]!, n) }
      const answer = await served.post("/v1/embeddings", { input })
      expect(answer.status).toBe(200)
      served.expectClose(await embeddings(answer), [n % 2 ? `text ${n % 4}` : `picture ${n % 3}`])
    }
  }
  const clients = Promise.all(Array.from({ length: 6 }, client))
  for (let kills = 0; kills < 3; kills++) {
    const before = next
    while (next < before + 20) await sleep(10)
    const [pid] = served.server.pids()
    process.kill(pid!, "SIGKILL")
  }
  const before = next
  while (next < before + 20) await sleep(10)
  isOver = true
  await clients
  expect(await metric(served, /process_ends\{model="tiny",kind="died"\} (\d+)/)).toBe(3)
})

test("a process that hangs is replaced, and who asks meanwhile has an answer", async () => {
  await using served = await ServedTiny.start({ engine: { lifetime: { ...lifetimeDefaults, hangSeconds: 1 } } })
  process.kill(served.server.pids()[0]!, "SIGSTOP")
  const asked = [served.texts[0], { image: Buffer.from(served.pictures[1]!).toString("base64") }]
  const answers = await Promise.all(asked.map((input) => served.post("/v1/embeddings", { input })))
  expect(answers.map(({ status }) => status)).toEqual([200, 200])
  served.expectClose((await Promise.all(answers.map(embeddings))).flat(), ["text 0", "picture 1"])
})

test("what a client that went away asked for is not computed", async () => {
  await using served = await ServedTiny.start()
  const input = Array.from({ length: 400 }, (_, i) => ({ image: variant(served.pictures[i % 3]!, i) }))
  const stop = new AbortController()
  const headers = { "content-type": "application/json" }
  const body = JSON.stringify({ input })
  const left = fetch(`${served.url}/v1/embeddings`, { method: "POST", headers, body, signal: stop.signal })
  const waiting = () => metric(served, /waiting\{model="tiny",kind="pictures"\} (\d+)/)
  while ((await waiting()) === 0) await sleep(1)
  stop.abort()
  await expect(left).rejects.toThrow("aborted")
  while ((await waiting()) > 0) await sleep(1)
  expect(await metric(served, /computed\{model="tiny",kind="pictures"\} (\d+)/)).toBeLessThan(400)
  const [answer] = await embeddings(await served.post("/v1/embeddings", { input: [input[399]] }))
  served.expectClose([answer!], ["picture 0"])
})

test("a queue that is full refuses with the seconds after which there is room, and queries still pass", async () => {
  await using served = await ServedTiny.start({ engine: { mostWaiting: 30 } })
  const input = (first: number, count: number) =>
    Array.from({ length: count }, (_, i) => ({ image: variant(served.pictures[i % 3]!, first + i) }))
  const large = served.post("/v1/embeddings", { input: input(0, 400) })
  while ((await metric(served, /waiting\{model="tiny",kind="pictures"\} (\d+)/)) < 30) await sleep(1)
  const [refused, query] = await Promise.all([
    served.post("/v1/embeddings", { input: input(1000, 20) }),
    served.post("/v1/embeddings", { input: input(2000, 1) }),
  ])
  const seconds = Number(refused.headers.get("retry-after"))
  expect([refused.status, query.status]).toEqual([429, 200])
  expect(await refused.json()).toMatchObject({
    error: { message: `too many requests are waiting; ask again in ${seconds} s`, type: "rate_limit_error" },
  })
  await large
  expect((await served.post("/v1/embeddings", { input: input(1000, 20) })).status).toBe(200)
  expect(await metric(served, /refused\{model="tiny",kind="pictures"\} (\d+)/)).toBe(20)
})

test("one picture with hundreds of labels is bulk work, and refuses no query", async () => {
  await using served = await ServedTiny.start({ engine: { mostWaiting: 30, textBatch: 1 } })
  const labels = Array.from({ length: 1000 }, (_, i) => `label ${i}`)
  const large = served.post("/v1/classify", { images: [variant(served.pictures[0]!, 1)], labels })
  while ((await metric(served, /waiting\{model="tiny",kind="texts"\} (\d+)/)) < 30) await sleep(1)
  const query = await served.post("/v1/embeddings", { input: served.texts[0] })
  expect(query.status).toBe(200)
  served.expectClose(await embeddings(query), ["text 0"])
  expect(await metric(served, /waiting\{model="tiny",kind="texts"\} (\d+)/)).toBeGreaterThan(0)
  expect((await large).status).toBe(200)
})

test("models that are put away under load are opened again, and every answer is right", async () => {
  await using served = await ServedTiny.start({ engine: { idleSeconds: 0.02, cacheBytes: 0 } }, ["tiny", "other"])
  const isOpen = () => served.server.pids().length > 0
  const ask = async (model: string, i: number) => {
    const answer = await served.post("/v1/embeddings", { model, input: served.texts[i % 4] })
    served.expectClose(await embeddings(answer), [`text ${i % 4}`])
  }
  const firstOf = Promise.all([0, 1, 2].map((i) => ask("tiny", i)))
  // While one is put away, the next requests come: at once, and when it is gone.
  await Promise.all([firstOf, ask("other", 3)])
  await Promise.all([sleep(20).then(() => ask("tiny", 3)), sleep(25).then(() => ask("tiny", 2))])
  while (isOpen()) await sleep(5)
  // A balancer that took the server out now would keep the request away that opens the model again.
  const ready = await fetch(`${served.url}/ready`)
  expect([ready.status, await ready.json()]).toEqual([200, { status: "ok", models: [] }])
  await ask("tiny", 1)
})

test.each(["put away", "killed"])(
  "a server whose model is %s, and its folder gone, is not ready until it is back",
  async (fate) => {
    const idleSeconds = fate === "put away" ? 0.02 : null
    await using served = await ServedTiny.start({ engine: { idleSeconds, cacheBytes: 0 } })
    const [folder, away] = [join(served.folder, "tiny"), join(served.folder, "away")]
    const ask = async () => (await served.post("/v1/embeddings", { input: "a" })).status
    const ready = async () => (await fetch(`${served.url}/ready`)).status
    if (fate === "put away") while (served.server.pids().length > 0) await sleep(5)
    const [pid] = served.server.pids()
    renameSync(folder, away)
    if (pid) process.kill(pid, "SIGKILL")
    expect([await ask(), await ready(), await ask()]).toEqual([503, 503, 503])
    renameSync(away, folder)
    // Nobody but the balancer asks.
    while ((await ready()) !== 200) await sleep(50)
    expect(await ask()).toBe(200)
  },
)

test("a server that is stopped under load answers what it was asked, and resets no connection", async () => {
  const served = await ServedTiny.start()
  const { url } = served
  const agent = new Agent({ keepAlive: true })
  let [answered, isOver] = [0, false]
  const client = async (): Promise<string> => {
    while (!isOver) {
      const outcome = await ask(url, agent, JSON.stringify({ input: `a text ${Math.random()}` }))
      if (outcome !== "200") return outcome
      answered++
    }
    return "200"
  }
  const clients = Promise.all(Array.from({ length: 16 }, client))
  while (answered < 50) await sleep(5)
  await served[Symbol.asyncDispose]()
  isOver = true
  expect(new Set(await clients)).toEqual(new Set(["ECONNREFUSED"]))
})

async function ask(url: string, agent: Agent, body: string): Promise<string> {
  const headers = { "content-type": "application/json", "content-length": body.length }
  try {
    const asked = request(`${url}/v1/embeddings`, { method: "POST", agent, headers }).end(body)
    const [answer] = (await once(asked, "response")) as [IncomingMessage]
    await textOfStream(answer)
    return String(answer.statusCode)
  } catch (error) {
    return (error as { code: string }).code
  }
}

test("a server that is stopped does not wait for a client that never ends", async () => {
  const served = await ServedTiny.start({ limits: { seconds: 1 } })
  const { hostname, port } = new URL(served.url)
  const socket = connect(Number(port), hostname).on("error", () => {})
  const head = ["POST /v1/embeddings HTTP/1.1", "Host: localhost", "Content-Length: 1000", "Expect: 100-continue"]
  socket.write(`${head.join("\r\n")}\r\n\r\n{`)
  const drip = setInterval(() => socket.write(" "), 50)
  // The request has begun.
  await once(socket, "data")
  const began = performance.now()
  await served[Symbol.asyncDispose]()
  // After a second, and what the machine needs to end a process; the client would go on for ever.
  expect(performance.now() - began).toBeLessThan(60_000)
  clearInterval(drip)
})
