import { spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import type { Worker } from "node:worker_threads"
import { afterEach, beforeEach, expect, test } from "vitest"
import { tinyInfo, tinyModel } from "../../../test/tiny-model.ts"
import { UserError } from "../../core/errors.ts"
import { workerFile } from "../../host/worker-file.ts"
import { checkpointWriter } from "./checkpoint-writer.ts"
import { cleanRun, latestCheckpoint, readCheckpoint, saveCheckpoint, superfluous } from "./folder.ts"
import type { TrainingState } from "./state.ts"

let directory: string
const checkpoints = () => readdirSync(join(directory, "checkpoints")).sort()
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "writer-"))
})
afterEach(() => rmSync(directory, { recursive: true }))

function stateAt(step: number): TrainingState {
  const tensors = new Map([...tinyModel().namedParameters()].map(([path, parameter]) => [path, parameter.read()]))
  return {
    info: tinyInfo,
    step,
    updates: step,
    settings: {},
    tensors,
    moments: new Map(),
    generator: new Uint8Array(),
  }
}

test("a thread that ends in the middle is an error in one line, and the next save has a new thread", async () => {
  await using writer = checkpointWriter()
  await writer.ask({ directory, state: stateAt(1), keep: 9 })
  const saving = writer.ask({ directory, state: stateAt(2), keep: 9 }).catch((error: unknown) => error)
  await (writer as unknown as { threads: { worker: Worker }[] }).threads[0]!.worker.terminate()
  const error = await saving
  expect(error).toBeInstanceOf(UserError)
  expect((error as UserError).message).toBe("the thread that writes checkpoints ended: exit code 1")
  await writer.ask({ directory, state: stateAt(3), keep: 9 })
  expect(readCheckpoint((await latestCheckpoint(directory))!).step).toBe(3)
})

test("a file that cannot be written is an error, and the thread goes on", async () => {
  await using writer = checkpointWriter()
  writeFileSync(join(directory, "checkpoints"), "in the way")
  await expect(writer.ask({ directory, state: stateAt(1), keep: 1 })).rejects.toThrow("is not a folder")
  rmSync(join(directory, "checkpoints"))
  await writer.ask({ directory, state: stateAt(2), keep: 1 })
  expect(checkpoints()).toEqual(["step-00000002.safetensors"])
})

/** A process that is killed while it writes a checkpoint that takes long. */
async function killedSave(): Promise<void> {
  const program = `
    import fs from "node:fs"
    import { syncBuiltinESMExports } from "node:module"
    // However late the signal comes, the file has no name of its own.
    fs.promises.rename = () => new Promise(() => setInterval(() => {}, 1000))
    syncBuiltinESMExports()
    const { saveCheckpoint } = await import(${JSON.stringify(workerFile(import.meta.url, "folder").href)})
    import { tinyInfo, tinyModel } from ${JSON.stringify(new URL("../../../dist/test/tiny-model.js", import.meta.url).href)}
    const tensors = new Map([...tinyModel().namedParameters()].map(([path, parameter]) => [path, parameter.read()]))
    const large = new Float32Array(2 ** 22)
    const moments = new Map(Array.from({ length: 40 }, (_, i) => ["large" + i, { first: large, second: large }]))
    const generator = new Uint8Array()
    const state = { info: tinyInfo, step: 7, updates: 7, settings: {}, tensors, moments, generator }
    await saveCheckpoint(${JSON.stringify(directory)}, state, 1)`
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], { stdio: "inherit" })
  const ended = once(child, "exit")
  const folder = join(directory, "checkpoints")
  for (const deadline = performance.now() + 30_000; ; await sleep(5)) {
    if (existsSync(folder) && readdirSync(folder).length > 0) break
    if (performance.now() > deadline) throw new Error("nothing is written")
  }
  child.kill("SIGKILL")
  await ended
}

test("the next save removes what a killed one left", async () => {
  await killedSave()
  expect(checkpoints()).toEqual([expect.stringMatching(/^\.step-00000007\.safetensors\..*\.tmp$/)])
  await saveCheckpoint(directory, stateAt(8), 1)
  expect(checkpoints()).toEqual(["step-00000008.safetensors"])
})

test("a run that begins or goes on removes it too", async () => {
  await killedSave()
  mkdirSync(join(directory, "tensorboard"))
  await cleanRun(directory)
  expect(checkpoints()).toEqual([])
  expect(readdirSync(directory).sort()).toEqual(["checkpoints", "tensorboard"])
})

test("the last checkpoints up to the step are kept, and later ones are removed", async () => {
  for (const step of [1, 2, 3, 9]) await saveCheckpoint(directory, stateAt(step), 9)
  await saveCheckpoint(directory, stateAt(4), 2)
  expect(checkpoints()).toEqual(["step-00000003.safetensors", "step-00000004.safetensors"])
})

test("where the new checkpoint is missing, none is removed", () => {
  const at = (step: number) => ({ path: `step-${step}`, step })
  expect(superfluous([at(9), at(3), at(2), at(1)], 4, 1)).toEqual([])
  expect(superfluous([at(9), at(4), at(3), at(2)], 4, 2)).toEqual(["step-9", "step-2"])
  expect(superfluous([], 4, 1)).toEqual([])
})
