import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { pictureSamples, writeSamples } from "../../test/training-samples.ts"
import { withCheckpoint } from "../weights/open-checkpoint.ts"

const program = fileURLToPath(new URL("../../bin/mobileclip.js", import.meta.url))
const folder = await mkdtemp(join(tmpdir(), "standard-output-"))
const shard = join(folder, "00000.tar")
beforeAll(async () => writeSamples(shard, await pictureSamples(16)))
afterAll(() => rm(folder, { recursive: true, force: true }))

function trainArguments(out: string, steps: number): string[] {
  const data = ["--train-data", shard, "--out", join(folder, out), "--model", "quickstart"]
  return ["train", ...data, "--threads", "1", "--progress", "json", "batch.size=8", `schedule.steps=${steps}`]
}

/** The exit code of the command, whatever its reader does. */
async function codeInPipe(name: string, args: readonly string[], redirection: string, reader: string) {
  const code = join(folder, `${name}.code`)
  const command = [process.execPath, program, ...args].map((word) => `'${word}'`).join(" ")
  spawnSync("sh", ["-c", `{ ${command}; echo $? > '${code}'; } ${redirection} | ${reader}`], { stdio: "ignore" })
  return Number(await readFile(code, "utf8"))
}

describe("a reader of the output that ends", { timeout: 120_000 }, () => {
  test.each([
    ["head", "2>&1", "head -1"],
    ["none", "2>&1", "true"],
    ["error", "2>&1 >/dev/null", "true"],
    ["out", "2>/dev/null", "true"],
  ])("does not end a training: %s", async (name, redirection, reader) => {
    expect(await codeInPipe(name, trainArguments(name, 4), redirection, reader)).toBe(0)
    const { samplesSeen } = await withCheckpoint(join(folder, name, "model.safetensors"), async ({ info }) => info)
    expect(samplesSeen).toBe(4 * 8)
    expect(await readdir(join(folder, name, "checkpoints"))).toEqual(["step-00000004.safetensors"])
  })

  test("quietly ends a command that only prints", async () => {
    expect(await codeInPipe("models", ["models"], "2>&1", "true")).toBe(0)
  })
})

describe.runIf(process.platform === "linux")("a full disk", { timeout: 120_000 }, () => {
  const run = (args: readonly string[]) => {
    const command = [process.execPath, program, ...args].map((word) => `'${word}'`).join(" ")
    return spawnSync("sh", ["-c", `${command} > /dev/full`], { encoding: "utf8" })
  }

  test("fails a command that only prints, with a line", () => {
    const { status, stderr } = run(["models"])
    expect({ status, stderr }).toEqual({ status: 1, stderr: "mobileclip: disk full while writing standard output\n" })
  })

  test("does not end a command that has more to do, and is reported once", async () => {
    const { status, stderr } = run([...trainArguments("full", 4), "--json"])
    const notes = stderr.split("\n").filter((line) => line.startsWith("mobileclip:"))
    expect(notes).toEqual([
      "mobileclip: disk full while writing standard output; the work goes on, and its results are not printed",
    ])
    expect(status).toBe(0)
    const { samplesSeen } = await withCheckpoint(join(folder, "full", "model.safetensors"), async ({ info }) => info)
    expect(samplesSeen).toBe(4 * 8)
  })
})

test("when its terminal is closed, a training finishes its step and saves", { timeout: 120_000 }, async () => {
  const child = spawn(process.execPath, [program, ...trainArguments("hangup", 100_000)], {
    stdio: ["ignore", "ignore", "pipe"],
  })
  await once(createInterface({ input: child.stderr }), "line")
  child.stderr.destroy()
  child.kill("SIGHUP")
  expect(await once(child, "exit")).toEqual([129, null])
  expect(await readdir(join(folder, "hangup", "checkpoints"))).toHaveLength(1)
})
