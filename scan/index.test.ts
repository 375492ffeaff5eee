import { spawn } from "node:child_process"
import { once } from "node:events"
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { Worker } from "node:worker_threads"
import { afterAll, expect, test } from "vitest"
import { builtAddon } from "../src/native/addon.ts"
import { pairBlocks, type ScanFailure, scanAddonOrNull } from "./index.ts"
import { scanAddon } from "./paths.ts"

const folder = mkdtempSync(join(tmpdir(), "scan-addon-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const { VectorFile, kernels } = scanAddonOrNull!
const addonFile = builtAddon(scanAddon)!.file
const [dim, offset] = [512, 4096]
const query = new Float32Array(dim).fill(0.1)

/** Zeros, which take no room on a disk, and which take long to read for the first time. */
function sparse(name: string, rows: number) {
  const path = join(folder, name)
  const descriptor = openSync(path, "w+")
  ftruncateSync(descriptor, offset + rows * dim * 2)
  return { path, descriptor }
}

test("a file that is cut while it is read ends the search and nothing else, in every function, again and again", async () => {
  const rows = 300_000
  const work = {
    scan: (file: InstanceType<typeof VectorFile>) => file.scan(query, { count: rows, k: 5, threads: 2 }),
    scores: (file: InstanceType<typeof VectorFile>) =>
      file.scores(
        query,
        Uint32Array.from({ length: rows }, (_, i) => i),
      ),
    nearPairs: (file: InstanceType<typeof VectorFile>) =>
      file.nearPairs({ count: rows, threads: 2, threshold: 0.5 }, new Int32Array(new SharedArrayBuffer(8))),
    // Codes of the first row alone: the others are scanned.
    scanCodes: (file: InstanceType<typeof VectorFile>) => {
      const codes = sparse("codes.bits", 1)
      file.openCodes(codes.descriptor, 0)
      closeSync(codes.descriptor)
      return file.scanCodes(query, { count: rows, k: 5, threads: 2 }, { count: 1, candidates: 1 })
    },
  }
  for (const [name, begin] of Object.entries(work)) {
    const failures: (ScanFailure | undefined)[] = []
    for (let round = 0; round < 10 && failures.filter((code) => code === "readFault").length < 2; round++) {
      const { descriptor } = sparse(`${name}.f16`, rows)
      const file = new VectorFile(descriptor, dim, offset, "")
      const ended = begin(file).then(
        () => undefined,
        ({ code }) => code as ScanFailure,
      )
      await sleep(10)
      ftruncateSync(descriptor, offset)
      failures.push(await ended)
      // It grew again, and is read again.
      ftruncateSync(descriptor, offset + 8 * dim * 2)
      expect((await file.scan(query, { count: 8, k: 3, threads: 2 }))[0]!.positions).toEqual(Uint32Array.of(0, 1, 2))
      file.close()
      closeSync(descriptor)
    }
    expect([name, failures]).toEqual([name, expect.arrayContaining(["readFault"])])
  }
})

test("a bus error of others ends the process as it did without the addon", async () => {
  // The addon maps more than the file; nobody guards a read by way of a kernel that is called by itself, so one is sent.
  const code = `require(${JSON.stringify(addonFile)}); process.kill(process.pid, "SIGBUS"); setTimeout(() => {}, 5000)`
  const child = spawn(process.execPath, ["-e", code], { stdio: "ignore" })
  const [, signal] = await once(child, "exit")
  expect(signal).toBe("SIGBUS")
})

const begin = `
  const { VectorFile } = require(file)
  const { openSync } = require("node:fs")
  const vectors = new VectorFile(openSync(path, "r"), ${dim}, ${offset}, "")
  const query = new Float32Array(${dim}).fill(0.1)
  const again = () => vectors.scan(query, { count: 100000, k: 5, threads: 2 }).then(again)
  again(); again()
  vectors.nearPairs({ count: 100000, threads: 2, threshold: 0.5 }, new Int32Array(new SharedArrayBuffer(8)))`

test("a thread of JavaScript that is ended within a search ends the search", async () => {
  const { path, descriptor } = sparse("ended.f16", 100_000)
  closeSync(descriptor)
  const code = `const { file, path } = require("node:worker_threads").workerData; ${begin}`
  for (let i = 0; i < 6; i++) {
    const worker = new Worker(code, { eval: true, workerData: { file: addonFile, path } })
    await once(worker, "online")
    await sleep(15 * i)
    expect(await worker.terminate()).toBe(1)
  }
})

test("a process that exits within a search exits", async () => {
  const { path, descriptor } = sparse("exits.f16", 100_000)
  closeSync(descriptor)
  const code = `const [file, path] = ${JSON.stringify([addonFile, path])}; ${begin}; setTimeout(() => process.exit(7), 60)`
  for (let i = 0; i < 3; i++) {
    const child = spawn(process.execPath, ["-e", code], { stdio: "ignore" })
    expect(await once(child, "exit")).toEqual([7, null])
  }
})

test("wrong arguments are a TypeError", () => {
  const { descriptor } = sparse("wrong.f16", 10)
  const Any = VectorFile as unknown as new (...args: unknown[]) => Record<string, (...args: unknown[]) => unknown>
  const file = new Any(descriptor, dim, offset, "")
  for (const args of [
    [],
    [-1, 4, 0, ""],
    [0.5, 4, 0, ""],
    [descriptor, 0, 0, ""],
    [descriptor, 4, 3, ""],
    [descriptor, 4, 0, "mmx"],
  ])
    expect(() => new Any(...args)).toThrow(TypeError)
  const good = { count: 10, k: 3, threads: 1 }
  const requests = [
    {},
    { k: 1.5 },
    { count: 2 ** 32 },
    { count: -1 },
    { threads: 0 },
    { threads: 1e9 },
    { mask: new Uint8Array(1) },
  ]
  for (const wrong of [...requests.slice(1), { mask: [1, 1] }, { after: 3 }, { after: { score: "1", position: 0 } }])
    expect(() => file.scan!(query, { ...good, ...wrong })).toThrow(TypeError)
  for (const args of [
    [query],
    [[1], good],
    [query.subarray(1), good],
    [new Float64Array(dim), good],
    [new Float32Array(0), good],
  ])
    expect(() => file.scan!(...args)).toThrow(TypeError)
  expect(() => file.scores!(query, [1])).toThrow(TypeError)
  expect(() => file.read!(new Int32Array(1))).toThrow(TypeError)
  expect(() => file.nearPairs!({ ...good, threshold: Number.NaN }, new Int32Array(2))).toThrow(TypeError)
  expect(() => file.nearPairs!({ ...good, threshold: 1 }, new Int32Array(1))).toThrow(TypeError)
  expect(() => file.scanCodes!(query, good, { count: 1, candidates: 1 })).toThrow(TypeError)
  expect(() => file.openCodes!(descriptor, 4)).toThrow(TypeError)
  file.close!()
  expect(() => file.scan!(query, good)).toThrow("closed")
  closeSync(descriptor)
})

test("what is under way when a file is closed is finished, and memory that is handed on meanwhile is not read", async () => {
  const { descriptor } = sparse("closed.f16", 50_000)
  const file = new VectorFile(descriptor, dim, offset, kernels()[0]!)
  const own = query.slice()
  const mask = new Uint8Array(6250).fill(255)
  const scan = file.scan(own, { count: 50_000, k: 2, threads: 2, mask })
  structuredClone([own, mask], { transfer: [own.buffer, mask.buffer] })
  file.close()
  closeSync(descriptor)
  expect((await scan)[0]!.positions).toEqual(Uint32Array.of(0, 1))
})

test("blocks of pairs are counted", async () => {
  const { descriptor } = sparse("pairs.f16", 1000)
  const file = new VectorFile(descriptor, dim, offset, "")
  const state = new Int32Array(new SharedArrayBuffer(8))
  await file.nearPairs({ count: 1000, threads: 2, threshold: 0.5 }, state)
  expect([state[1], pairBlocks(1000)]).toEqual([21, 21])
  closeSync(descriptor)
})
