/** A check by workers of a server says what one process says, and goes on where it was stopped. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { damages, writeDamagedShards } from "../../../test/damaged-shards.ts"
import { NatsServer } from "../../../test/nats-server.ts"
import { joinJob, removeFromServer } from "../../reinforce/distributed/fleet.ts"
import { verifyOnWorkers } from "../../reinforce/distributed/look-on-workers.ts"
import { natsSettings } from "../../reinforce/distributed/server/nats-settings.ts"
import { verifyShards } from "../../reinforce/tools/verify/verify.ts"
import { publishVerify, type RunVerifyOptions } from "./distributed.ts"

let server: NatsServer
let folder: string
const at = (...names: string[]) => join(folder, ...names)
const never = new AbortController().signal
beforeAll(async () => {
  server = await NatsServer.start()
  folder = mkdtempSync(join(tmpdir(), "run-verify-"))
  await writeDamagedShards(at("out"))
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true })
})

function options(output: string): RunVerifyOptions {
  return {
    ...{ input: [at("out")], output, nats: server.url, job: "checks", samples: 0, seed: 0, threshold: 0.999 },
    ...{ tagSuffix: "", progress: "none", json: true, maxTries: 2, stallTimeout: 60, ackWait: 5 },
  }
}

test("the report is that of one process, problems end the command, and a second time nothing is looked at again", async () => {
  const printed: string[] = []
  const told: string[] = []
  const output = { writeOut: (text: string) => printed.push(text), writeErr: (text: string) => told.push(text) }
  const nats = await natsSettings(server.url, {})
  const worker = joinJob(nats, { job: "checks", workers: 2 })
  const command = publishVerify(options(at("checks")), never, output)
  await expect(command).rejects.toThrow(`${damages.length} problems; the first: 5.tar: the folder has no record of it`)
  expect(told.join("")).toContain(
    "job checks: workers join with `mobileclip reinforce worker --nats URL --job checks`\n",
  )
  expect(JSON.parse(printed[0]!)).toEqual(await verifyShards(at("out"), { workers: 1, samples: 0 }))
  expect(await worker).toMatchObject({ done: 5, failed: 0, parked: 0 })
  const times = () => readdirSync(at("checks", "_done")).map((name) => statSync(at("checks", "_done", name)).mtimeMs)
  const before = times()
  // No worker is there.
  await expect(publishVerify(options(at("checks")), never, output)).rejects.toThrow("problems; the first")
  expect(printed[1]).toBe(printed[0])
  expect(times()).toEqual(before)
})

test("a check that was stopped goes on: with the shards that are left, by another worker", async () => {
  const nats = await natsSettings(server.url, {})
  const [leaving, stopping] = [new AbortController(), new AbortController()]
  const run = (signal: AbortSignal) =>
    verifyOnWorkers(nats, at("out"), at("again"), { samples: 0, name: "again", signal })
  const stopped = run(stopping.signal).catch((error: Error) => error.message)
  const onEvent = () => leaving.abort()
  const first = await joinJob(nats, { job: "again", signal: leaving.signal, onEvent })
  stopping.abort(new Error("stopped"))
  expect(await stopped).toBe("stopped")
  expect(first!.done).toBeGreaterThan(0)
  expect(first!.done).toBeLessThan(5)
  const second = joinJob(nats, { job: "again" })
  expect(await run(never)).toEqual(await verifyShards(at("out"), { workers: 1, samples: 0 }))
  expect((await second)!.done).toBe(5 - first!.done)
})

test("a shard that is missing is a result, and one whose result cannot be written is told with the reason", async () => {
  await writeDamagedShards(at("holes"))
  rmSync(at("holes", "1.tar"))
  mkdirSync(at("checked", "2.jsonl"), { recursive: true })
  const nats = await natsSettings(server.url, {})
  const worker = joinJob(nats, { job: "holes" })
  const options = { samples: 0, name: "holes", maxTries: 1 }
  const { problems } = await verifyOnWorkers(nats, at("holes"), at("checked"), options)
  expect(await worker).toMatchObject({ done: 4, parked: 1 })
  const isOther = ({ shard }: { readonly shard: string }) => shard !== "2.tar"
  expect(problems.filter(isOther)).toEqual(
    (await verifyShards(at("holes"), { workers: 1, samples: 0 })).problems.filter(isOther),
  )
  expect(problems.find(({ shard }) => shard === "1.tar")!.reason).toBe(`${at("holes", "1.tar")}: no such file`)
  expect(problems.find(({ shard }) => shard === "2.tar")!.reason).toMatch(/^parked after 1 tries: .*2\.jsonl/)
})

test("what was found is not believed where its file is damaged, and the shards' own folder is refused", async () => {
  const nats = await natsSettings(server.url, {})
  const file = at("checks", "1.jsonl")
  const whole = readFileSync(file)
  const again = () => verifyOnWorkers(nats, at("out"), at("checks"), { samples: 0, name: "checks" })
  // One letter of a hash.
  const place = whole.indexOf('"hashes":"') + 10
  writeFileSync(file, whole.fill(whole[place] === 0x41 ? 0x42 : 0x41, place, place + 1))
  await expect(again()).rejects.toThrow(`${file} is damaged`)
  // What the message says to do.
  rmSync(file)
  await removeFromServer(nats, "checks")
  const worker = joinJob(nats, { job: "checks" })
  expect(await again()).toEqual(await verifyShards(at("out"), { workers: 1, samples: 0 }))
  expect(await worker).toMatchObject({ done: 5 })
  const within = verifyOnWorkers(nats, at("out"), at("out"), { samples: 0, name: "within" })
  await expect(within).rejects.toThrow(/is there already, and is not of a reinforcement job/)
  const inside = verifyOnWorkers(nats, `${at("out")}/`, at("out", "checks"), { samples: 0, name: "within" })
  await expect(inside).rejects.toThrow(/checks is in .*out\/, where its files would count as shards/)
  expect(existsSync(at("out", "checks"))).toBe(false)
})

test("a shard that was replaced since, and a folder with other work, are refused in a line", async () => {
  const nats = await natsSettings(server.url, {})
  const run = (output: string) => verifyOnWorkers(nats, at("out"), output, { samples: 0, name: "again" })
  const { mtime } = statSync(at("out", "1.tar"))
  utimesSync(at("out", "1.tar"), mtime, new Date(5000))
  await expect(run(at("again"))).rejects.toThrow(`the shards have changed since ${at("again")} was begun`)
  utimesSync(at("out", "1.tar"), mtime, mtime)
  writeFileSync(at("again", "config.json"), JSON.stringify({ format: "mobileclip-reinforce", job: { stage: {} } }))
  await expect(run(at("again"))).rejects.toThrow(`${at("again")} holds the work of another kind of job`)
})
