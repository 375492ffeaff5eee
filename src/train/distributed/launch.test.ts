import { spawn } from "node:child_process"
import { once } from "node:events"
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { text } from "node:stream/consumers"
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { built } from "../../../test/ranks.ts"
import { UserError } from "../../core/errors.ts"
import { type LaunchOptions, launch } from "./launch.ts"

let folder: string
let program: string

/** A rank that does what its first argument says, and writes its variables and its process id into the folder. */
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "launch-"))
  program = join(folder, "rank.mjs")
  writeFileSync(
    program,
    `import { writeFileSync } from "node:fs"
     import { join } from "node:path"
     import { processGroupFromEnvironment } from ${built("src/train/distributed/process-group.js")}
     const [task, run] = process.argv.slice(2)
     const { RANK, WORLD_SIZE, LOCAL_RANK, MOBILECLIP_RENDEZVOUS, OMP_NUM_THREADS } = process.env
     const place = { RANK, WORLD_SIZE, LOCAL_RANK, MOBILECLIP_RENDEZVOUS, OMP_NUM_THREADS, pid: process.pid }
     process.on("uncaughtException", () => process.exit(1))
     let signals = 0
     for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => signals++)
     const group = processGroupFromEnvironment({ timeoutSeconds: 60 })
     writeFileSync(join(${JSON.stringify(folder)}, run + "-" + RANK + ".json"), JSON.stringify(place))
     if (group.rank > 0) console.error("hello")
     // A rank that dies before the others have connected to it is waited for until the time limit.
     if (task === "die") group.any(false)
     if (task === "die" && group.rank === 1) process.kill(process.pid, "SIGKILL")
     if (task === "fail" && group.rank === 0) throw new Error("no")
     if (task === "stubborn" && group.rank === 1) process.exit(3)
     // Far longer than the test may take: it must be killed, after it was told to end.
     if (task === "stubborn") {
       process.on("SIGTERM", () => writeFileSync(join(${JSON.stringify(folder)}, "told"), ""))
       await new Promise((resolve) => setTimeout(resolve, 300_000))
     }
     // After a signal one rank is lost and the other goes on for ever, as in an operation that does not notice it.
     if (task === "lost") {
       while (signals === 0) await new Promise((resolve) => setTimeout(resolve, 20))
       if (group.rank === 1) process.exit(5)
       await new Promise((resolve) => setTimeout(resolve, 60_000))
     }
     // Steps until a signal came on any rank.
     if (task === "steps") {
       let stopped = false
       while (!stopped) {
         await new Promise((resolve) => setTimeout(resolve, 20))
         stopped = group.any(signals > 0)
       }
       // The other rank may have been told first, and this one may be told again.
       while (signals === 0) await new Promise((resolve) => setTimeout(resolve, 20))
       await new Promise((resolve) => setTimeout(resolve, 200))
       process.exitCode = signals === 1 ? 143 : 1
     }
     group.any(false)
     group.close()`,
  )
})
afterAll(() => rmSync(folder, { recursive: true }))

function options(task: string, processes = 2): LaunchOptions & { readonly lines: string[] } {
  const lines: string[] = []
  return { program, args: [task, task], processes, threads: 3, log: (line) => lines.push(line), lines }
}

interface Place {
  readonly pid: number
  readonly [variable: string]: string | number
}

async function placesOf(run: string, count: number): Promise<Place[]> {
  for (const deadline = performance.now() + 60_000; performance.now() < deadline; await sleep(50)) {
    const files = readdirSync(folder).filter((name) => name.startsWith(`${run}-`))
    const texts = files.sort().map((name) => readFileSync(join(folder, name), "utf8"))
    if (texts.filter((text) => text !== "").length === count) return texts.map((text) => JSON.parse(text))
  }
  throw new Error(`the ranks of "${run}" did not come`)
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** 127.0.0.1, the same within IPv6, and ::1, as Linux writes them. */
const loopbacks = ["0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"]

/** The local addresses of a process's sockets: of those that listen, and of those that are connected. */
function socketAddresses(pid: number): string[] {
  const files = readdirSync(`/proc/${pid}/fd`).map((name) => {
    // A file may be closed by now.
    try {
      return readlinkSync(`/proc/${pid}/fd/${name}`)
    } catch {
      return ""
    }
  })
  const tables = ["tcp", "tcp6"].map((name) => readFileSync(`/proc/${pid}/net/${name}`, "utf8"))
  return tables
    .flatMap((table) => table.trim().split("\n").slice(1))
    .map((line) => line.trim().split(/\s+/))
    .filter((columns) => files.includes(`socket:[${columns[9]}]`))
    .map(([, local]) => local!.split(":")[0]!)
}

test("ranks find each other and share the machine's threads", async () => {
  const quiet = options("nothing")
  expect(await launch(quiet)).toBe(0)
  expect(quiet.lines).toEqual(["[rank 1] hello"])
  const places = await placesOf("nothing", 2)
  const shared = {
    WORLD_SIZE: "2",
    MOBILECLIP_RENDEZVOUS: places[0]!.MOBILECLIP_RENDEZVOUS,
    OMP_NUM_THREADS: "1",
  }
  expect(places).toMatchObject([
    { RANK: "0", LOCAL_RANK: "0", ...shared },
    { RANK: "1", LOCAL_RANK: "1", ...shared },
  ])
  expect(existsSync(dirname(String(shared.MOBILECLIP_RENDEZVOUS)))).toBe(false)
})

describe("a lost rank ends the job", () => {
  test("killed: it is named, the others stop by themselves", async () => {
    const start = performance.now()
    const error = await launch(options("die", 3)).catch((e: unknown) => e as UserError)
    const places = await placesOf("die", 3)
    expect(error).toBeInstanceOf(UserError)
    expect((error as UserError).message).toBe(
      `rank 1 of 3 (process ${places[1]!.pid}) was killed by SIGKILL; the others have stopped`,
    )
    // Far below the ten minutes that a rank may be late; processes start and end slowly on a busy machine.
    expect(performance.now() - start).toBeLessThan(40_000)
    expect(places.map(({ pid }) => isRunning(pid))).toEqual([false, false, false])
  })

  test("failed: it is named too", async () => {
    await expect(launch(options("fail"))).rejects.toThrow(/rank [01] of 2 .* ended with code 1; the others/)
  })

  test("the hint does not promise a checkpoint", async () => {
    const error = await launch(options("fail")).catch((e: unknown) => e as UserError)
    expect((error as UserError).hint).toContain("where a checkpoint was saved it is whole")
  })

  test("ranks that do not stop are told to, then killed", async () => {
    const start = performance.now()
    const failing = launch({ ...options("stubborn"), graceSeconds: 2 })
    await expect(failing).rejects.toThrow(/rank 1 of 2 .* ended with code 3; the others have stopped/)
    expect(performance.now() - start).toBeLessThan(60_000)
    expect(readdirSync(folder)).toContain("told")
    for (const { pid } of await placesOf("stubborn", 2)) expect(isRunning(pid)).toBe(false)
  })
})

describe("a launcher in a process of its own", () => {
  async function start(run: string, task = "steps", variables: Readonly<Record<string, string>> = {}) {
    const file = join(folder, `${run}.mjs`)
    writeFileSync(
      file,
      `import { launch } from ${built("src/train/distributed/launch.js")}
       process.on("SIGUSR2", () => process.exit(1))
       const options = { program: ${JSON.stringify(program)}, args: ${JSON.stringify([task, run])}, processes: 2, log() {} }
       try {
         process.exitCode = await launch({ ...options, stopGraceSeconds: ${task === "lost" ? 0.5 : 60} })
       } catch (error) {
         console.log(error.message)
         process.exitCode = 1
       }`,
    )
    const env = { ...process.env, ...variables }
    const launcher = spawn(process.execPath, [file], { env, stdio: ["ignore", "pipe", "inherit"] })
    const places = await placesOf(run, 2)
    await sleep(200)
    return { launcher, places }
  }

  test.each(["SIGTERM", "SIGINT", "SIGHUP"] as const)(
    "passes %s on once: all ranks stop after the same step",
    async (signal) => {
      const { launcher, places } = await start(signal)
      launcher.kill(signal)
      const [code] = await once(launcher, "exit")
      // Each rank exits with 143 if it was told once.
      expect(code).toBe(143)
      for (const { pid } of places) expect(isRunning(pid)).toBe(false)
    },
  )

  test.runIf(process.platform === "linux")(
    "nothing of it listens, or is connected, but on the loopback interface",
    async () => {
      const { launcher, places } = await start("sockets")
      try {
        const pids = [launcher.pid!, ...places.map(({ pid }) => pid)]
        const addresses = pids.flatMap(socketAddresses)
        // The two ends of Gloo's connection at least.
        expect(addresses.length).toBeGreaterThanOrEqual(2)
        for (const address of addresses) expect(loopbacks).toContain(address)
        const mode = statSync(dirname(String(places[0]!.MOBILECLIP_RENDEZVOUS))).mode
        expect(mode & 0o777).toBe(0o700)
      } finally {
        launcher.kill("SIGTERM")
        await once(launcher, "exit")
      }
    },
  )

  test("a rank that is lost after a signal does not leave the others waiting", async () => {
    const { launcher, places } = await start("lost", "lost")
    const output = text(launcher.stdout!)
    const started = performance.now()
    launcher.kill("SIGTERM")
    const [code] = await once(launcher, "exit")
    expect(code).toBe(1)
    expect(await output).toMatch(/^rank 1 of 2 .* ended with code 5; the others have stopped\n$/)
    expect(performance.now() - started).toBeLessThan(30_000)
    for (const { pid } of places) expect(isRunning(pid)).toBe(false)
  })

  test("the folder of the rendezvous is removed when the launcher exits, or at the next start when it was killed", async () => {
    const TMPDIR = join(folder, "temporary")
    mkdirSync(TMPDIR)
    for (const [run, signal, left] of [
      ["killed", "SIGKILL", 1],
      ["exits", "SIGUSR2", 0],
    ] as const) {
      const { launcher } = await start(run, "steps", { TMPDIR })
      expect(readdirSync(TMPDIR)).toEqual([expect.stringMatching(/^mobileclip-ranks-[0-9a-f]{32}$/)])
      launcher.kill(signal)
      await once(launcher, "exit")
      expect(readdirSync(TMPDIR)).toHaveLength(left)
    }
  })

  test("its ranks end when it is killed", async () => {
    const { launcher, places } = await start("orphans")
    launcher.kill("SIGKILL")
    await once(launcher, "exit")
    const deadline = performance.now() + 30_000
    while (places.some(({ pid }) => isRunning(pid)) && performance.now() < deadline) await sleep(50)
    for (const { pid } of places) expect(isRunning(pid)).toBe(false)
  })
})
