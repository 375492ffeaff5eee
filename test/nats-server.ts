/** A `nats-server` with JetStream on the loopback address for tests: it can be killed and started again on its files. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises"
import { connect } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { canInstall, installPackages, updateLists } from "../src/native/apt.ts"
import { freePort } from "./free-port.ts"

export class NatsServer implements AsyncDisposable {
  private child: ChildProcess | null = null

  private constructor(
    readonly port: number,
    private readonly folder: string,
    private readonly options: readonly string[],
  ) {}

  /** @param options in place of the ones that ask for JetStream and a folder for its files */
  static async start(options?: readonly string[]): Promise<NatsServer> {
    const folder = await mkdtemp(join(tmpdir(), "mobileclip-nats-"))
    const server = new NatsServer(await freePort(), folder, options ?? ["-js", "-sd", folder])
    await server.restart()
    return server
  }

  get url(): string {
    return `nats://127.0.0.1:${this.port}`
  }

  get pid(): number {
    return this.child!.pid!
  }

  async restart(): Promise<void> {
    const log = join(this.folder, "log")
    const fixed = ["-a", "127.0.0.1", "-p", String(this.port), "-l", log]
    this.child = spawn(findServer(), [...fixed, ...this.options], { stdio: "ignore" })
    for (let waited = 0; !(await answers(this.port)); waited += 50) {
      if (waited > 20_000 || this.child.exitCode !== null) throw new Error(`no server: ${await readFile(log, "utf8")}`)
      await sleep(50)
    }
  }

  /** As a crash does: nothing is written any more. */
  async kill(): Promise<void> {
    const child = this.child
    this.child = null
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    child.kill("SIGKILL")
    await once(child, "exit")
  }

  /** A crash that takes the files along. */
  async lose(): Promise<void> {
    await this.kill()
    await rm(this.folder, { recursive: true, force: true })
    await mkdir(this.folder)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
    await rm(this.folder, { recursive: true, force: true })
  }
}

/** Debian's package puts it where only root's PATH looks. */
function findServer(): string {
  const found = ["nats-server", "/usr/sbin/nats-server"].find(runs)
  if (found) return found
  if (!canInstall()) throw new Error("nats-server is needed for this test, and cannot be installed here")
  updateLists()
  installPackages(["nats-server"])
  return "/usr/sbin/nats-server"
}

function runs(program: string): boolean {
  return spawnSync(program, ["--version"]).status === 0
}

/** Whether a server greets on this port. */
function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1")
    const end = (answer: boolean) => {
      socket.destroy()
      resolve(answer)
    }
    socket.once("data", () => end(true)).once("error", () => end(false))
  })
}
