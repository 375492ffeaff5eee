/** One output, one set of models: locally, and through a server; and which jobs a worker takes. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test, vi } from "vitest"
import { NatsServer } from "../../../test/nats-server.ts"
import { dial } from "../../../test/queue.ts"
import { tinyInfo, tinyModel, writeCheckpoint } from "../../../test/tiny-model.ts"
import { renderSample } from "../../data/scenes/dataset.ts"
import { writeShard } from "../../data/shards.ts"
import { exportModel } from "../../export/export.ts"
import { makeDirectory } from "../../host/files/files.ts"
import { initialize } from "../../model/module.ts"
import { publishJob } from "../../reinforce/distributed/publish.ts"
import { type EmbeddingRequest, embeddingJob } from "../../reinforce/job/stage-jobs.ts"
import { publish, type RunOptions, showStatus, type WorkerOptions, work } from "./distributed.ts"
import { runHere } from "./local.ts"

let folder: string
const at = (...names: string[]) => join(folder, ...names)
const shard = (index: number) => at("in", `${index}.tar`)
const never = new AbortController().signal
const resources = { workers: 1, batchSize: 8, threads: 1, device: "cpu" } as const

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "models-"))
  await makeDirectory(at("in"))
  for (const index of [0, 1, 2]) await writeShard(shard(index), [await renderSample(`${index}`, 1, "train", index)])
  await bring("tiny")
}, 60_000)
afterAll(() => rmSync(folder, { recursive: true }))

/** In the one place that jobs name: other weights, or none other than a name. */
async function bring(name: string): Promise<void> {
  rmSync(at("teacher"), { recursive: true, force: true })
  await exportModel(tinyModel(), { ...tinyInfo, name, preprocessing: preprocessingOf(name) }, at("teacher"))
}

function writeSeeded(path: string, seed: number): void {
  const model = tinyModel()
  initialize(model, seed)
  writeCheckpoint(path, model)
}

function preprocessingOf(name: string) {
  const { preprocessing } = tinyInfo
  return name === "tiny" ? preprocessing : { ...preprocessing, mean: [0.1, 0.2, 0.3] as const }
}

function options(input: readonly string[], output: string): RunOptions & EmbeddingRequest & typeof resources {
  return {
    ...{ input, output: at(output), outputFormat: "webdataset", outputShardNameFormat: "orig" },
    ...{ textEmbeddings: "separate", images: true, minImageSize: 16, seed: 0, maxFailures: Infinity, progress: "none" },
    ...{ modelName: at("teacher"), numSamples: 2, synTextKeyRegex: "syn_text", tagSuffix: "", ...resources },
    ...{ maxTries: 1, stallTimeout: 60, ackWait: 5, truncated: "accept" },
  }
}

interface Said {
  out: string
  err: string
}

function saying(): { said: Said; output: { writeOut(text: string): void; writeErr(text: string): void } } {
  const said: Said = { out: "", err: "" }
  return {
    said,
    output: {
      writeOut(text) {
        said.out += text
      },
      writeErr(text) {
        said.err += text
      },
    },
  }
}

/** What it said beside its outcome. */
async function embed(input: readonly string[], to: string): Promise<string> {
  const given = options(input, to)
  const { said, output } = saying()
  await runHere(embeddingJob(given), given, never, output)
  return said.err
}

test("locally, a folder that other models began is refused, and one that has several is not called done", async () => {
  await embed([shard(0), shard(1)], "local")
  const before = readFileSync(at("local", "0.tar"))
  await bring("other")
  await expect(embed([shard(0), shard(1), shard(2)], "local")).rejects.toThrow(
    /^\S+local has shards made by \S+ .*\(0\.tar, 1\.tar\), and not by /,
  )
  expect(readdirSync(at("local"))).not.toContain("2.tar")
  await bring("tiny")
  await embed([shard(0), shard(1), shard(2)], "local")
  expect(readFileSync(at("local", "0.tar"))).toEqual(before)

  const record = at("local", "_done", "1.tar.json")
  writeFileSync(record, JSON.stringify({ ...JSON.parse(readFileSync(record, "utf8")), models: "others@1" }))
  await expect(embed([shard(0), shard(1), shard(2)], "local")).rejects.toThrow(
    /local has shards made by others@1 \(1\.tar\), and not by /,
  )
  // A record that cannot be read is work that was not done.
  writeFileSync(record, JSON.stringify({ ...JSON.parse(readFileSync(record, "utf8")), samples: "many" }))
  await embed([shard(0), shard(1), shard(2)], "local")
  expect(JSON.parse(readFileSync(record, "utf8"))).toMatchObject({
    samples: 1,
    models: expect.not.stringMatching("others"),
  })
}, 120_000)

test("locally, a folder that is done is not called so by other models, and a folder of models may be gone", async () => {
  await bring("tiny")
  await embed([shard(0)], "done")
  await bring("other")
  await expect(embed([shard(0)], "done")).rejects.toThrow(/^\S+done has shards made by \S+ .*\(0\.tar\), and not by /)
  await bring("tiny")
  expect(await embed([shard(0)], "done")).toBe("")
  rmSync(at("teacher"), { recursive: true })
  expect(await embed([shard(0)], "done")).toBe(
    `nothing is left to make; the models were not looked at: ${at("teacher")} is not a path of this machine\n`,
  )
  await bring("tiny")
}, 120_000)

test("locally, a checkpoint whose weights were replaced is other models, though nothing is left to make", async () => {
  const checkpoint = at("tiny.safetensors")
  vi.stubEnv("XDG_CACHE_HOME", at("cache"))
  const again = async () => {
    const given = { ...options([shard(0)], "checkpoint"), modelName: checkpoint }
    await runHere(embeddingJob(given), given, never, saying().output)
  }
  try {
    writeSeeded(checkpoint, 1)
    await again()
    await again()
    writeSeeded(checkpoint, 2)
    await expect(again()).rejects.toThrow(/checkpoint has shards made by \S+ .*\(0\.tar\), and not by /)
  } finally {
    vi.unstubAllEnvs()
  }
}, 120_000)

test("locally, bfloat16 is done by libtorch, and said in the records; float32 does not go on there", async () => {
  const checkpoint = writeCheckpoint(at("tiny.safetensors"))
  vi.stubEnv("XDG_CACHE_HOME", at("cache"))
  const run = (input: readonly string[], dtype?: "bf16") => {
    const given = { ...options(input, "bf16"), modelName: checkpoint, ...(dtype && { dtype }) }
    return runHere(embeddingJob(given), given, never, saying().output)
  }
  try {
    await run([shard(0)], "bf16")
    const config = JSON.parse(readFileSync(at("bf16", "config.json"), "utf8"))
    expect(config.job.stage.dtype).toBe("bf16")
    expect(config.runtime).toMatchObject({ runtime: "libtorch", device: "cpu", dtype: "bf16", chosenBy: "user" })
    // The model is of two blocks, and its activations are small.
    expect(config.runtime.cosine).toBeGreaterThan(0.999)
    const { models } = JSON.parse(readFileSync(at("bf16", "_done", "0.tar.json"), "utf8"))
    expect(models).toMatch(/ bf16$/)
    await expect(run([shard(0), shard(1)])).rejects.toThrow('was begun with stage.dtype "bf16", and now it is null')
    await run([shard(0), shard(1)], "bf16")
    expect(JSON.parse(readFileSync(at("bf16", "config.json"), "utf8"))).toEqual(config)
  } finally {
    vi.unstubAllEnvs()
  }
}, 120_000)

test("through a server, models that made nothing leave the job to others, and the status tells a short hash", async () => {
  await using server = await NatsServer.start()
  const given = { ...options([shard(0)], "unbound"), nats: server.url }
  const run = publish(embeddingJob(given), given, never, saying().output)
  run.catch(() => {})
  const leave = new AbortController()
  const { output } = saying()
  await bring("other")
  const writeErr = (text: string) => {
    if (text.includes("opening its models")) leave.abort()
  }
  await work({ nats: server.url, ...resources }, leave.signal, { ...output, writeErr })
  await bring("tiny")
  await work({ nats: server.url, ...resources }, never, output)
  await run
  const { said, output: shown } = saying()
  await showStatus({ nats: server.url }, shown)
  expect(said.out).toMatch(/\nmodels +teacher \S+=sha256:[0-9a-f]{12} \S+=sha256:[0-9a-f]{12} 64px .*\n/)
  expect(said.out).toMatch(/[^\n]\n$/)
}, 120_000)

test("through a server, shards that others made are named and not joined", async () => {
  await using server = await NatsServer.start()
  await bring("other")
  await embed([shard(0)], "many")
  const before = ["0.tar", "manifest.jsonl"].map((name) => readFileSync(at("many", name)))
  await bring("tiny")
  const given = { ...options([shard(0), shard(1)], "many"), nats: server.url }
  const run = publish(embeddingJob(given), given, never, saying().output)
  run.catch(() => {})
  const { said, output } = saying()
  await work({ nats: server.url, ...resources, outputRoot: [at("many")] }, never, output)
  await expect(run).rejects.toThrow(/^\S+many has shards made by .*\(0\.tar\), and not by /)
  expect(said.err).toMatch(/shard 0: parked \(\S+many has shards made by /)
  expect(said.err).toMatch(/shard 1: 1 samples\n/)
  expect(["0.tar", "manifest.jsonl"].map((name) => readFileSync(at("many", name)))).toEqual(before)
}, 120_000)

test("a worker refuses a job that writes elsewhere, or whose settings it does not know, in a line", async () => {
  await using server = await NatsServer.start()
  const connection = await dial(server)
  const worker = (job: string, more: Partial<WorkerOptions> = {}) =>
    work({ nats: server.url, job, ...resources, ...more }, never, saying().output)
  const task = { index: 0, input: shard(0), output: at("victim", "0.tar") }
  await publishJob(connection, { name: "elsewhere", spec: {}, output: at("victim"), tasks: [task] })
  await expect(worker("elsewhere", { outputRoot: [at("many"), "s3://b/out"] })).rejects.toThrow(
    `the job writes to "${at("victim")}", which is not inside of "${at("many")}" or "s3://b/out" (--output-root)`,
  )
  await expect(worker("elsewhere", { outputRoot: [folder] })).rejects.toThrow(
    "the settings of job elsewhere on the server cannot be used: stage: Invalid input",
  )
  expect(readdirSync(folder)).not.toContain("victim")
  await connection.close()
})
