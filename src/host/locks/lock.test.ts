import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { afterEach, beforeEach, expect, test, vi } from "vitest"
import { UserError } from "../../core/errors.ts"
import { workerFile } from "../worker-file.ts"
import { isBookkeeping, lockFolder, lockPath } from "./lock.ts"
import { thisProcess } from "./process-identity.ts"

let folder: string
const children: ChildProcess[] = []
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "lock-"))
})
afterEach(async () => {
  await Promise.all(children.splice(0).map(end))
  rmSync(folder, { recursive: true, force: true })
})

const out = () => join(folder, "out")

interface Other {
  readonly child: ChildProcess
  /** What the process says next: "held", or why not. */
  readonly says: () => Promise<string>
}

/** A process that takes the lock when it is told to, says how that went, and holds it until `after`. */
function start(after: "forever" | "exit" | "throw" = "forever"): Other {
  const program = `
    import { lockFolder } from ${JSON.stringify(workerFile(import.meta.url, "lock").href)}
    console.log("ready")
    await new Promise((resolve) => process.stdin.once("data", resolve))
    const take = async () => {
      const lock = await lockFolder(${JSON.stringify(out())}, "mobileclip train")
      try {
        console.log("held")
        if (${JSON.stringify(after)} === "exit") process.exit(0)
        if (${JSON.stringify(after)} === "throw") throw new Error("failed")
        await new Promise((resolve) => setTimeout(resolve, 2 ** 30))
      } finally {
        lock[Symbol.dispose]()
      }
    }
    await take().catch(({ message }) => console.log(message))
    process.exit(0)`
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], { stdio: ["pipe", "pipe", "inherit"] })
  children.push(child)
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]()
  return { child, says: async () => (await lines.next()).value ?? "" }
}

async function go(other: Other): Promise<string> {
  other.child.stdin!.write("go\n")
  return other.says()
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, "exit")
  child.kill("SIGKILL")
  await ended
}

/** All begin to take the lock as nearly at the same time as possible. */
async function race(count: number) {
  const others = Array.from({ length: count }, () => start())
  for (const { says } of others) expect(await says()).toBe("ready")
  const answers = await Promise.all(others.map(go))
  const winners = others.filter((_, i) => answers[i] === "held")
  return { winners, refused: answers.filter((answer) => answer !== "held") }
}

const left = () => readdirSync(folder, { recursive: true }).map(String).sort()

test("held until it is disposed of; the folder that was made for it and stayed empty goes with it", async () => {
  const deep = join(folder, "a", "b")
  {
    using _ = await lockFolder(deep, "mobileclip train")
    expect(left()).toEqual(["a", "a/b", "a/b/.lock"])
    expect(JSON.parse(readFileSync(join(deep, ".lock"), "utf8"))).toMatchObject({
      ...thisProcess(),
      command: "mobileclip train",
    })
    const error = await lockFolder(deep, "mobileclip render").catch((error) => error)
    expect(error).toBeInstanceOf(UserError)
    expect(error.message).toMatch(
      new RegExp(
        `^${deep} is in use: mobileclip train \\(process ${process.pid}\\) works there since \\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d UTC$`,
      ),
    )
    expect(error.hint).toBe("wait until it ends, or choose another folder")
    expect(left()).toEqual(["a", "a/b", "a/b/.lock"])
  }
  expect(left()).toEqual([])
  mkdirSync(deep, { recursive: true })
  {
    using _ = await lockFolder(deep, "mobileclip train")
  }
  expect(left()).toEqual(["a", "a/b"])
})

test("a path that is replaced as a whole is locked beside it, also through a link", async () => {
  using _ = await lockPath(`${out()}/`, "mobileclip convert")
  expect(left()).toEqual([".out.lock"])
  await expect(lockPath(out(), "mobileclip export")).rejects.toThrow(`${out()} is in use: mobileclip convert`)
})

test("parents are made for a path, and go with the lock where they stayed empty", async () => {
  {
    using _ = await lockPath(join(folder, "a", "b", "out"), "mobileclip convert")
    expect(left()).toEqual(["a", "a/b", "a/b/.out.lock"])
  }
  expect(left()).toEqual([])
  writeFileSync(join(folder, "file"), "")
  await expect(lockPath(join(folder, "file", "out"), "x")).rejects.toThrow(/^\S+file\S* is a file, or in one/)
})

test.each(["exit", "throw"] as const)("a process that ends by %s leaves nothing", async (after) => {
  const other = start(after)
  const ended = once(other.child, "exit")
  await other.says()
  expect(await go(other)).toBe("held")
  await ended
  expect(left()).toEqual([])
})

test("another process is refused while the first lives, and takes over when it was killed", async () => {
  const first = start()
  await first.says()
  expect(await go(first)).toBe("held")
  await expect(lockFolder(out(), "mobileclip render")).rejects.toThrow(`mobileclip train (process ${first.child.pid})`)
  await end(first.child)
  expect(left()).toEqual(["out", "out/.lock"])
  {
    using _ = await lockFolder(out(), "mobileclip render")
    expect(JSON.parse(readFileSync(join(out(), ".lock"), "utf8"))).toMatchObject({ command: "mobileclip render" })
    expect(left()).toEqual(["out", "out/.lock"])
  }
  expect(left()).toEqual(["out"])
})

test("exactly one of many processes gets a new lock, and exactly one an abandoned one", {
  timeout: 120_000,
}, async () => {
  for (let round = 0; round < 3; round++) {
    const { winners, refused } = await race(8)
    expect(winners).toHaveLength(1)
    expect(refused).toEqual(Array(7).fill(expect.stringContaining(`(process ${winners[0]!.child.pid}) works there`)))
    expect(left()).toEqual(["out", "out/.lock"])
    // The next round finds it abandoned.
    await end(winners[0]!.child)
  }
})

test("the same holds within one process, in whatever order the attempts run", async () => {
  writeLock({ pid: 2 ** 22 + 1 })
  const results = await Promise.allSettled(Array.from({ length: 40 }, () => lockFolder(out(), "mobileclip train")))
  const held = results.filter(({ status }) => status === "fulfilled")
  expect(held).toHaveLength(1)
  ;(held[0] as PromiseFulfilledResult<Disposable>).value[Symbol.dispose]()
  expect(left()).toEqual(["out"])
})

/** A lock as another process would have written it. */
function writeLock(changes: object, path = join(out(), ".lock")): void {
  mkdirSync(out(), { recursive: true })
  const text = {
    ...thisProcess(),
    host: "node7",
    command: "mobileclip train",
    since: "2026-01-02T03:04:05.678Z",
    id: "x",
  }
  writeFileSync(path, JSON.stringify({ ...text, ...changes }))
}

test("a lock with an id that another process has by now holds nothing", async () => {
  // This process runs, and began at another time.
  writeLock({ start: "12345678" })
  using _ = await lockFolder(out(), "mobileclip render")
  expect(JSON.parse(readFileSync(join(out(), ".lock"), "utf8"))).toMatchObject(thisProcess())
})

/** The holder was silent for so many seconds. */
function silence(seconds: number, path = join(out(), ".lock")): void {
  utimesSync(path, new Date(), new Date(Date.now() - seconds * 1000))
}

test("a process on another machine cannot be asked: it is named, and the file to remove", async () => {
  writeLock({ machine: "12345678", pid: 7, host: "node7\u001b[31m" })
  silence(200)
  const error = await lockFolder(out(), "mobileclip render").catch((error) => error)
  expect(error.message).toMatch(/ and was last heard of 2\d\d s ago$/)
  expect(error.message.replace(/ and was .*$/, "")).toBe(
    `${out()} is in use: mobileclip train (process 7 on node7\\x1b[31m) works there since 2026-01-02 03:04 UTC`,
  )
  expect(error.hint).toContain(`remove ${join(out(), ".lock")}`)
  expect(left()).toEqual(["out", "out/.lock"])
})

test("a holder that was silent for minutes by the file server's clock is gone", async () => {
  writeLock({ machine: "12345678", pid: 1 })
  silence(200)
  const clock = vi.spyOn(Date, "now").mockReturnValue(Date.now() + 3600 * 1000)
  await expect(lockFolder(out(), "mobileclip train")).rejects.toThrow("is in use")
  clock.mockRestore()
  silence(330)
  {
    using _ = await lockFolder(out(), "mobileclip train")
    expect(JSON.parse(readFileSync(join(out(), ".lock"), "utf8"))).toMatchObject(thisProcess())
    expect(left()).toEqual(["out", "out/.lock"])
  }
  expect(left()).toEqual(["out"])
})

test("exactly one of many processes follows a holder elsewhere that fell silent", async () => {
  writeLock({ machine: "12345678", pid: 1 })
  silence(330)
  const results = await Promise.allSettled(Array.from({ length: 20 }, () => lockFolder(out(), "mobileclip train")))
  const held = results.filter(({ status }) => status === "fulfilled")
  expect(held).toHaveLength(1)
  ;(held[0] as PromiseFulfilledResult<Disposable>).value[Symbol.dispose]()
  expect(left()).toEqual(["out"])
})

test("a holder is heard of while it lives", async () => {
  const path = join(out(), ".lock")
  const other = start()
  await other.says()
  expect(await go(other)).toBe("held")
  const text = readFileSync(path, "utf8")
  silence(330)
  await expect.poll(() => Date.now() - statSync(path).mtimeMs, { timeout: 100_000 }).toBeLessThan(200_000)
  expect(readFileSync(path, "utf8")).toBe(text)
})

test("a file without content, as a machine leaves it that stopped, is taken over; a fresh one is waited for", async () => {
  mkdirSync(out())
  const path = join(out(), ".lock")
  writeFileSync(path, "")
  utimesSync(path, new Date(), new Date(Date.now() - 60_000))
  {
    using _ = await lockFolder(out(), "mobileclip render")
  }
  writeFileSync(path, "")
  const taking = lockFolder(out(), "mobileclip render").catch((error) => error)
  await new Promise((resolve) => setTimeout(resolve, 200))
  writeLock({})
  expect((await taking).message).toContain("is in use")
})

test("a process killed while it took over blocks no other", async () => {
  writeLock({ pid: 2 ** 22 + 1 })
  // The second file of a takeover, whose process is gone too, under the name that the lock looks for.
  const { mtimeMs } = await import("node:fs").then(({ statSync }) => statSync(join(out(), ".lock")))
  const { createHash } = await import("node:crypto")
  const text = readFileSync(join(out(), ".lock"), "utf8")
  const digest = createHash("sha256").update(`${mtimeMs} ${text}`).digest("hex").slice(0, 32)
  writeLock({ pid: 2 ** 22 + 2, id: "y" }, join(out(), `..lock.${digest}.tmp`))
  expect(isBookkeeping(`..lock.${digest}.tmp`)).toBe(true)
  {
    using _ = await lockFolder(out(), "mobileclip render")
    expect(left()).toEqual(["out", "out/.lock"])
  }
  expect(left()).toEqual(["out"])
})

test("a file without content and of the future, as after a clock that was put back, is taken over", async () => {
  mkdirSync(out())
  writeFileSync(join(out(), ".lock"), "")
  utimesSync(join(out(), ".lock"), new Date(), new Date(Date.now() + 3600_000))
  using _ = await lockFolder(out(), "mobileclip render")
  expect(left()).toEqual(["out", "out/.lock"])
})

const odd: Readonly<Record<string, (path: string) => void>> = {
  "a link to nothing": (path) => symlinkSync("/nonexistent", path),
  "a link to a device without end": (path) => symlinkSync("/dev/zero", path),
  "a link to a file": (path) => symlinkSync(join(folder, "precious"), path),
  "a pipe": (path) => execFileSync("mkfifo", [path]),
  "a folder": (path) => mkdirSync(path),
  "a text": (path) => writeFileSync(path, "precious"),
  "a long file": (path) => writeFileSync(path, '{"pid":'.padEnd(1e6)),
}

test.skipIf(process.platform === "win32").each(Object.keys(odd))(
  "%s under the lock's name is refused, and stays",
  async (kind) => {
    writeFileSync(join(folder, "precious"), "precious")
    utimesSync(join(folder, "precious"), new Date(), new Date(Date.now() - 60_000))
    for (const [path, take] of [
      [join(out(), ".lock"), () => lockFolder(out(), "x")],
      [join(folder, ".mine.lock"), () => lockPath(join(folder, "mine"), "x")],
    ] as const) {
      mkdirSync(out(), { recursive: true })
      odd[kind]!(path)
      const error = await take().catch((error: unknown) => error)
      expect(error).toBeInstanceOf(UserError)
      expect((error as Error).message).toBe(`${path} is not a lock that this program wrote, and is not replaced`)
    }
    expect(left()).toEqual([".mine.lock", "out", "out/.lock", "precious"])
    expect(readFileSync(join(folder, "precious"), "utf8")).toBe("precious")
  },
)

test("an abort ends waiting for a file that is not complete", async () => {
  mkdirSync(out())
  writeFileSync(join(out(), ".lock"), "")
  const reason = new Error("stopped")
  const controller = new AbortController()
  setTimeout(() => controller.abort(reason), 100)
  await expect(lockFolder(out(), "x", controller.signal)).rejects.toBe(reason)
  expect(left()).toEqual(["out", "out/.lock"])
  // Not taken over, as it is when it has been waited for.
  expect(readFileSync(join(out(), ".lock"), "utf8")).toBe("")
})

test("a file that is never complete is not waited for without end", { timeout: 120_000 }, async () => {
  mkdirSync(out())
  const write = () => writeFileSync(join(out(), ".lock"), "")
  write()
  const writing = setInterval(write, 1000)
  try {
    await expect(lockFolder(out(), "x")).rejects.toThrow(`${out()} is being taken by another process`)
  } finally {
    clearInterval(writing)
  }
})

test("after a lock was removed by hand, its old holder does not remove the new one's", async () => {
  const lock = await lockFolder(out(), "mobileclip train")
  rmSync(join(out(), ".lock"))
  using _ = await lockFolder(out(), "mobileclip render")
  lock[Symbol.dispose]()
  expect(existsSync(join(out(), ".lock"))).toBe(true)
})

test("an error of writing names the folder", async () => {
  writeFileSync(join(folder, "file"), "")
  await expect(lockFolder(join(folder, "file"), "x")).rejects.toThrow(UserError)
  mkdirSync(out())
  chmodSync(out(), 0o500)
  // The administrator may write everywhere.
  if (process.getuid?.() !== 0)
    await expect(lockFolder(out(), "x")).rejects.toThrow(`no permission for writing ${out()}`)
  if (process.platform === "linux") await expect(lockFolder("/proc/self/x", "x")).rejects.toThrow(UserError)
})

test("taking a folder removes what killed processes left below it", async () => {
  mkdirSync(join(out(), "train"), { recursive: true })
  const { pid, machine, start } = thisProcess()
  const digits = (pid: number) => `${pid.toString(16).padStart(8, "0")}${machine}${start}00000000`
  for (const name of [
    `.a.${digits(2 ** 22 + 1)}.tmp`,
    `train/.00000.tar.${digits(2 ** 22 + 1)}.tmp`,
    `.b.${digits(pid)}.tmp`,
  ])
    writeFileSync(join(out(), name), "")
  using _ = await lockFolder(out(), "x")
  expect(left()).toEqual(["out", `out/.b.${digits(pid)}.tmp`, "out/.lock", "out/train"].sort())
})

test("bookkeeping is told from users' names", () => {
  for (const name of [".lock", ".model.lock", ".00000.tar.0123456789ab.tmp", ".a.0123456789abcdef0123456789abcdef.tmp"])
    expect(isBookkeeping(name)).toBe(true)
  for (const name of ["a.lock", "lock", "package-lock.json", ".env", "..lock.json"])
    expect(isBookkeeping(name)).toBe(false)
})
