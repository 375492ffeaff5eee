/**
 * A run that is killed in the middle and resumed against one that was not: `mobileclip train` in real processes, SIGKILL
 * from outside, and the bytes of the last checkpoint compared. The product must be built.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { createHash } from "node:crypto"
import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { readMetrics } from "../src/train/log/metrics.ts"
import { pictureSamples, writeSamples } from "./training-samples.ts"

interface ResumeCase {
  readonly reinforced: boolean
  /** One, or several with `--nproc`. */
  readonly processes: number
  /** The whole run has so many; it is killed after the checkpoint at half of them. */
  readonly steps: number
}

interface ResumeProof {
  /** Step at which the process was killed, at least. */
  readonly killedAfter: number
  /** SHA-256 of the last checkpoint: weights, moments, generator, settings. */
  readonly straight: string
  readonly resumed: string
  /** Losses of every step, of both. */
  readonly sameLosses: boolean
}

/** @param folder is written into */
export async function proveResume(folder: string, { reinforced, processes, steps }: ResumeCase): Promise<ResumeProof> {
  const shard = await shardIn(folder)
  const args = (out: string) => [
    ...["train", "--train-data", shard, "--out", join(folder, out), "--model", "quickstart", "--threads", "1"],
    ...["--progress", "none", "--nproc", String(processes), "batch.size=8", `schedule.steps=${steps}`],
    ...["schedule.warmup=2", `save.every=${steps / 2}`, "save.keep=9"],
    ...(reinforced
      ? ["--dataset-reinforcement", "loss.kind=distill", "loss.weights=[0.25,0.75]", "loss.teacherScales=[70,60]"]
      : []),
  ]
  await finished(start(args("straight")), 0)
  const killedAfter = await killInTheMiddle(args("resumed"), join(folder, "resumed"), steps / 2)
  await finished(start([...args("resumed"), "--resume"]), 0)
  const losses = await Promise.all(["straight", "resumed"].map((out) => lossesOf(join(folder, out))))
  return {
    killedAfter,
    straight: hashOfLast(join(folder, "straight")),
    resumed: hashOfLast(join(folder, "resumed")),
    sameLosses: losses[0] === losses[1] && losses[0]!.split("\n").length === steps,
  }
}

async function shardIn(folder: string): Promise<string> {
  const path = join(folder, "00000.tar")
  await writeSamples(path, await pictureSamples(40))
  return path
}

/** Waits for the checkpoint and two steps more, then kills the process, or one rank of several. The run waits there for it. */
async function killInTheMiddle(args: readonly string[], out: string, checkpoint: number): Promise<number> {
  const gate = `${out}-was-killed`
  const child = start(args, waitingAfter(checkpoint + 2, gate))
  const ended = finished(child, null)
  for (;;) {
    const last = (await readMetrics(join(out, "metrics.jsonl"))).at(-1)?.step ?? 0
    if (last >= checkpoint + 2 && checkpointsOf(out).length > 0) {
      process.kill(victimOf(child), "SIGKILL")
      writeFileSync(gate, "")
      await ended
      return last
    }
    if (child.exitCode !== null) throw new Error(`the run ended before it was killed, at step ${last}`)
    await sleep(20)
  }
}

/** The process itself, or, where it launched others, the last of them. */
function victimOf(child: ChildProcess): number {
  const children = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8").trim().split(/\s+/)
  const ranks = children.filter((pid) => pid && readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("train"))
  return Number(ranks.at(-1) ?? child.pid)
}

/** The environment of a run that goes on after this step's line is written when the file `gate` is there: it could end before it is killed. */
function waitingAfter(step: number, gate: string): NodeJS.ProcessEnv {
  const code = `
    import fs, { existsSync } from "node:fs"
    import { syncBuiltinESMExports } from "node:module"
    const { writeSync } = fs
    const clock = new Int32Array(new SharedArrayBuffer(4))
    fs.writeSync = (descriptor, ...rest) => {
      const written = writeSync(descriptor, ...rest)
      if (String(rest[0]).startsWith('{"step":${step},'))
        while (!existsSync(${JSON.stringify(gate)})) Atomics.wait(clock, 0, 0, 10)
      return written
    }
    syncBuiltinESMExports()`
  const { NODE_OPTIONS = "" } = process.env
  return { NODE_OPTIONS: `${NODE_OPTIONS} --import data:text/javascript,${encodeURIComponent(code)}` }
}

function start(args: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
  const program = fileURLToPath(new URL("../bin/mobileclip.js", rootOf()))
  return spawn(process.execPath, [program, ...args], {
    stdio: ["ignore", "ignore", "pipe"],
    env: { ...process.env, ...env },
  })
}

/** This file is compiled into dist/test, and run as it is by the tests. */
function rootOf(): URL {
  return new URL(import.meta.url.includes("/dist/test/") ? "../" : "./", import.meta.url)
}

/** @param code that must be the exit code; null: any but 0 */
async function finished(child: ChildProcess, code: 0 | null): Promise<void> {
  let text = ""
  child.stderr!.on("data", (chunk) => {
    text += String(chunk)
  })
  const got = await new Promise((resolve) => child.once("close", (exitCode) => resolve(exitCode)))
  if ((code === 0) !== (got === 0)) throw new Error(`exit code ${got}: ${text}`)
}

function checkpointsOf(out: string): string[] {
  try {
    return readdirSync(join(out, "checkpoints"))
      .filter((name) => /^step-\d+\.safetensors$/.test(name))
      .sort()
  } catch {
    return []
  }
}

function hashOfLast(out: string): string {
  const last = checkpointsOf(out).at(-1)!
  return createHash("sha256")
    .update(last)
    .update(readFileSync(join(out, "checkpoints", last)))
    .digest("hex")
}

/** A line per step. */
async function lossesOf(out: string): Promise<string> {
  const entries = await readMetrics(join(out, "metrics.jsonl"))
  return entries.map((entry) => JSON.stringify([entry.step, "losses" in entry && entry.losses])).join("\n")
}
