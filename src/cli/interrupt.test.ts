/** Real processes and real signals, while libtorch keeps JavaScript from running. */
import { spawn } from "node:child_process"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import sharp from "sharp"
import { afterAll, expect, test } from "vitest"

const folder = await mkdtemp(join(tmpdir(), "mobileclip-interrupt-"))
afterAll(() => rm(folder, { recursive: true, force: true }))

const root = fileURLToPath(new URL("../..", import.meta.url))
const answer = "\nmobileclip: stopping after the current step; once more stops now\n"

/** A command that computes with libtorch until the file of the second argument is there, or waits for it. */
const program = `
  import { existsSync } from "node:fs"
  import { setTimeout as sleep } from "node:timers/promises"
  import { main } from "./dist/src/cli/main.js"
  import * as torch from "./dist/torch/index.js"
  process.on("exit", () => console.log("exit"))
  const [how, gate] = process.argv.slice(1)
  const compute = () => {
    const matrix = torch.ones([500, 500])
    while (!existsSync(gate)) torch.scope(() => matrix.matmul(matrix))
    console.log("computed")
  }
  const register = (program, { abortOnInterrupt }) =>
    program.command("work").action(async () => {
      const signal = abortOnInterrupt()
      console.log("begun")
      if (how === "wait") while (!existsSync(gate)) await sleep(20)
      else compute()
      for (let i = 0; i < 2; i++) await new Promise(setImmediate)
      console.log(signal.aborted ? "aborted" : "whole")
    })
  const table = { work: { summary: "work", load: async () => ({ register }) } }
  let told = ""
  const to = { out: console.log, err: (text) => (told += text) }
  process.exitCode = await main(["work"], table, how === "captured" ? to : undefined)
  if (how === "captured") console.log(JSON.stringify(told))
`

/** A process, with the seconds since its start at which it wrote. */
class Run {
  private readonly child
  private readonly started = performance.now()
  private readonly written = {
    out: [] as [seconds: number, text: string][],
    err: [] as [seconds: number, text: string][],
  }
  readonly ended: Promise<{ readonly code: number | null; readonly at: number }>

  constructor(words: readonly string[], [command, ...first]: readonly string[] = [process.execPath]) {
    this.child = spawn(command!, [...first, ...words], { cwd: root, stdio: ["ignore", "pipe", "pipe"] })
    for (const [name, stream] of [
      ["out", this.child.stdout],
      ["err", this.child.stderr],
    ] as const)
      stream.setEncoding("utf8").on("data", (text: string) => this.written[name].push([this.now(), text]))
    this.ended = new Promise((resolve) => this.child.once("close", (code) => resolve({ code, at: this.now() })))
  }

  now(): number {
    return (performance.now() - this.started) / 1000
  }

  text(stream: "out" | "err"): string {
    return this.written[stream].map(([, text]) => text).join("")
  }

  /** When the stream had the text for the first time. */
  async has(stream: "out" | "err", text: string): Promise<number> {
    while (!this.text(stream).includes(text)) {
      if (this.child.exitCode !== null) throw new Error(`ended without ${text}: ${this.text("err")}`)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    return this.written[stream].find((_, i, all) =>
      all
        .slice(0, i + 1)
        .map(([, part]) => part)
        .join("")
        .includes(text),
    )![0]
  }

  /** Sends a signal some seconds after another moment, and gives the moment. */
  async signal(name: NodeJS.Signals, at = 0): Promise<number> {
    await new Promise((resolve) => setTimeout(resolve, (at - this.now()) * 1000))
    const sent = this.now()
    this.child.kill(name)
    return sent
  }
}

let runs = 0

/** What opens the gate lets the command go on to its end. */
async function begun(how: "compute" | "wait" | "captured"): Promise<Run & { open(): Promise<void> }> {
  const gate = join(folder, `gate-${runs++}`)
  const run = new Run(["--input-type=module", "-e", program, how, gate])
  await run.has("out", "begun")
  return Object.assign(run, { open: () => writeFile(gate, "") })
}

test("the first signal is answered while libtorch computes, once, and the command goes on to its end", async () => {
  const waits: number[] = []
  for (const [signal, code] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
    ["SIGHUP", 129],
  ] as const) {
    const run = await begun("compute")
    const sent = await run.signal(signal, run.now() + 0.3)
    waits.push((await run.has("err", answer)) - sent)
    expect(run.text("out")).toBe("begun\n")
    await run.open()
    expect(await run.ended).toMatchObject({ code })
    expect([run.text("out"), run.text("err")]).toEqual(["begun\ncomputed\naborted\nexit\n", answer])
  }
  // JavaScript has 0.1 s to answer; other processes may keep one of these waiting.
  expect(Math.min(...waits)).toBeLessThan(0.3)
})

test("a second signal ends the process at once", async () => {
  const run = await begun("compute")
  await run.signal("SIGINT")
  await run.signal("SIGTERM", (await run.has("err", answer)) + 0.7)
  // The computation goes on for ever.
  const { code } = await run.ended
  expect([code, run.text("out"), run.text("err")]).toEqual([143, "begun\n", answer])
})

test("signals within half a second count once", async () => {
  const run = await begun("compute")
  const sent = await run.signal("SIGTERM")
  // The time that is left is for this process, which may be late.
  await run.signal("SIGTERM", sent + 0.05)
  await run.has("err", answer)
  await run.open()
  expect(await run.ended).toMatchObject({ code: 143 })
  expect([run.text("out"), run.text("err")]).toEqual(["begun\ncomputed\naborted\nexit\n", answer])
})

test("standard error that nobody reads holds up neither the step nor a second signal", async () => {
  const pipe = join(folder, "pipe")
  // Full, and open for reading, by a process that reads nothing.
  const fill = `
    import { constants, openSync, writeSync } from "node:fs"
    const end = openSync(${JSON.stringify(pipe)}, constants.O_WRONLY | constants.O_NONBLOCK)
    try {
      for (;;) writeSync(end, Buffer.alloc(4096))
    } catch {}
  `
  const shell =
    'mkfifo "$1" && exec 3<>"$1" && "$2" --input-type=module -e "$3" && exec "$2" --input-type=module -e "$4" compute /no/gate 2>"$1"'
  const run = new Run(["sh", pipe, process.execPath, fill, program], ["sh", "-c", shell])
  await run.has("out", "begun")
  const sent = await run.signal("SIGINT")
  // Nobody can see that it was answered.
  await run.signal("SIGTERM", sent + 2)
  const { code } = await run.ended
  expect([code, run.text("out")]).toEqual([143, "begun\n"])
})

test("where JavaScript runs, its listeners answer and end the process", async () => {
  const run = await begun("wait")
  await run.signal("SIGINT")
  await run.signal("SIGINT", (await run.has("err", answer)) + 0.7)
  // The wait goes on for ever.
  const { code } = await run.ended
  expect([code, run.text("out"), run.text("err")]).toEqual([130, "begun\nexit\n", answer])
})

test("nothing is written past an output that a caller gave", async () => {
  const run = await begun("captured")
  const sent = await run.signal("SIGINT")
  // As long as an answer would take, were there one.
  await sleep((sent + 0.5 - run.now()) * 1000)
  await run.open()
  expect(await run.ended).toMatchObject({ code: 130 })
  expect([run.text("out"), run.text("err")]).toEqual([
    `begun\ncomputed\naborted\n${JSON.stringify(answer)}\nexit\n`,
    "",
  ])
})

test("a step of training with a large batch", { timeout: 300_000 }, async () => {
  const [list, picture] = [join(folder, "list.jsonl"), join(folder, "red.png")]
  await sharp({ create: { width: 64, height: 64, channels: 3, background: "red" } })
    .png()
    .toFile(picture)
  await writeFile(list, `${JSON.stringify({ image: picture, captions: ["red"] })}\n`.repeat(800))
  const words = ["--train-data", list, "--out", join(folder, "run"), "--model", "quickstart", "--threads", "1"]
  const settings = ["batch.size=800", "schedule.steps=9", "schedule.warmup=1"]
  const run = new Run(["bin/mobileclip.js", "train", ...words, "--progress", "json", ...settings])
  const sent = await run.signal("SIGINT", (await run.has("err", '"done":800')) + 0.2)
  const answered = await run.has("err", answer)
  const { code, at } = await run.ended
  expect(code).toBe(130)
  const [before, after] = run.text("err").split(answer)
  expect(before).not.toContain('"done":1600')
  expect(after).toMatch(/"done":1600.*\nmobileclip: saved after step 2; to go on:\n/)
  expect(answered - sent).toBeLessThan((at - sent) / 2)
})
