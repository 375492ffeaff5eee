/** A server of a model with generated weights, or of a tiny one, for measurements. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { availableParallelism, tmpdir } from "node:os"
import { join } from "node:path"
import { generatedClip } from "../../src/benchmark/latency/generated.ts"
import { type VariantName, variants } from "../../src/core/family/variants.ts"
import { exportModel } from "../../src/export/export.ts"
import { readingDefaults } from "../../src/pictures/reading.ts"
import { EmbeddingServer, type ServeOptions } from "../../src/serve/server.ts"

/** What `work` gives, which has a folder and a user's cache of its own. */
export async function inOwnFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "bench-serve-"))
  const before = process.env.XDG_CACHE_HOME
  process.env.XDG_CACHE_HOME = join(folder, "cache")
  try {
    return await work(folder)
  } finally {
    if (before === undefined) delete process.env.XDG_CACHE_HOME
    else process.env.XDG_CACHE_HOME = before
    rmSync(folder, { recursive: true, force: true })
  }
}

/** The folder of a model with generated weights, below another one. */
export async function generatedModel(folder: string, name: string): Promise<string> {
  const { model: config, preprocessing } = variants[name as VariantName]
  const path = join(folder, name)
  await exportModel(generatedClip(config), { name, license: "MIT", samplesSeen: 0, preprocessing }, path)
  return path
}

export function startServer(model: string, options: ServeOptions = {}): Promise<EmbeddingServer> {
  const settings = { model, threads: availableParallelism(), maxPixels: 1e8, ...readingDefaults }
  return EmbeddingServer.start(new Map([["model", settings]]), { port: 0, ...options })
}

/** Resident memory of a process; Linux. */
export function residentBytes(pid: number): number {
  return 1024 * Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1])
}
