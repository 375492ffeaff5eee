/**
 * A chain of data generation on S3 and NATS in bad company: beside healthy workers, one whose temporary folder is a full
 * disk, one without credentials, one whose credentials expired, one with another model file under the same name, and a
 * message every second that is none of the job's. The shards must come out as from one undisturbed process, and the bad
 * workers must leave with one clear line each.
 */
import type { ChildProcess } from "node:child_process"
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { openStorage } from "../src/data/stores/open.ts"
import type { Storage } from "../src/data/stores/storage.ts"
import { exportModel } from "../src/export/export.ts"
import { initialize } from "../src/model/module.ts"
import { BadMessages } from "./bad-messages.ts"
import {
  type ChainSize,
  type Comparison,
  compare,
  type ParkedRecord,
  prepare,
  reference,
  stageOptions,
  statusOf,
} from "./chain-job.ts"
import { FullDisk } from "./full-disk.ts"
import { NatsServer } from "./nats-server.ts"
import { closed, ended, errorsOf, isRunning, kill, type StartOptions, startProgram } from "./program.ts"
import { credentials, S3Server } from "./s3-server.ts"
import { tinyInfo, tinyModel } from "./tiny-model.ts"

interface HostileOptions extends ChainSize {
  /** Healthy ones. */
  readonly workers: number
  /** Seconds that the store waits before each answer, so that the chain is not done before everyone has come. */
  readonly storeDelaySeconds: number
  /** After which the chain is given up. */
  readonly maxSeconds: number
  /** Bad workers get so many seconds after the job's end to leave. */
  readonly patienceSeconds: number
  /** Without them: what the chain does by itself. */
  readonly badWorkers: boolean
  readonly badMessages: boolean
  readonly log?: (line: string) => void
}

export interface WorkerReport {
  readonly name: string
  /** What a bad one's error must speak of; null: a healthy one. */
  readonly mustSay: RegExp | null
  /** null where it did not leave and was killed. */
  readonly exitCode: number | null
  readonly shards: number
  /** Its lines on stderr about its end: an error, and what belongs to it. */
  readonly words: readonly string[]
}

export interface HostileReport extends Comparison {
  readonly shards: number
  readonly seconds: number
  readonly singleSeconds: number
  /** By the server's word. */
  readonly done: number
  /** Shards that workers say they made. */
  readonly made: number
  /** Indices of those that were made more than once. */
  readonly madeTwice: readonly number[]
  /** Shards of the job, with their reasons. */
  readonly parked: readonly string[]
  readonly badMessages: { readonly published: number; readonly parked: number }
  /** Files that the job was not to write, and such as it changed. */
  readonly trespasses: readonly string[]
  readonly runExitCode: number | null
  /** What `reinforce run` says on stderr. */
  readonly runWords: readonly string[]
  readonly workers: readonly WorkerReport[]
  /** What could not be tried here. */
  readonly leftOut: readonly string[]
}

const bucket = "data"
const job = "hostile"
const places = { input: `s3://${bucket}/in`, output: `s3://${bucket}/many`, teacher: "teacher" }
const victimUrl = `s3://${bucket}/victim/keep.tar`
const victimText = "This file is none of the job's."

export async function runHostileChain(options: HostileOptions): Promise<HostileReport> {
  const folder = mkdtempSync(join(tmpdir(), "hostile-"))
  try {
    const keys = await prepare(folder, options)
    const singleSeconds = await reference(folder, options.views)
    await writeOtherModel(folder)
    const chain = await new HostileChain(folder, options).run()
    return { shards: options.shards, singleSeconds, ...chain, ...(await compare(folder, keys)) }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** What of the goal is not met, in a line each. */
export function unmet(report: HostileReport): string[] {
  const { shards, done, made, madeTwice, wrongKeys, different, parked, trespasses, workers, runExitCode, runWords } =
    report
  return [
    ...(done === shards ? [] : [`${done} of ${shards} shards are done`]),
    ...(made === shards ? [] : [`workers say that they made ${made} of ${shards} shards`]),
    ...(madeTwice.length === 0 ? [] : [`shards were made more than once: ${madeTwice.join(", ")}`]),
    ...(wrongKeys.length === 0
      ? []
      : [`${wrongKeys.length} samples are not there once: ${wrongKeys.slice(0, 3)}, ...`]),
    ...(different.length === 0
      ? []
      : [`${different.length} shards differ from one process's: ${different.slice(0, 5)}`]),
    ...(parked.length === 0 ? [] : [`${parked.length} shards are parked: ${parked[0]}`]),
    ...trespasses.map((name) => `written where it must not be: ${name}`),
    // 3: bad messages are told as something that was left out.
    ...([0, 3].includes(runExitCode ?? -1) ? [] : [`reinforce run ended with ${runExitCode}: ${runWords.join(" / ")}`]),
    ...workers.flatMap(unmetBy),
  ]
}

function unmetBy({ name, mustSay, exitCode, words }: WorkerReport): string[] {
  if (!mustSay) return exitCode === 0 ? [] : [`${name} ended with ${exitCode}: ${words.join(" / ")}`]
  if (exitCode === null) return [`${name} did not leave`]
  if (exitCode === 0) return [`${name} left with exit code 0`]
  const errors = words.filter((line) => line.startsWith("mobileclip: "))
  const isClear = errors.length === 1 && words.length <= 2 && mustSay.test(errors[0]!)
  return isClear ? [] : [`${name} did not leave with one clear line: ${words.join(" / ")}`]
}

/** Other weights under the name by which the job knows its teacher. */
async function writeOtherModel(folder: string): Promise<void> {
  const model = tinyModel()
  initialize(model, 2)
  mkdirSync(join(folder, "other"))
  await exportModel(model, { ...tinyInfo, name: "tiny" }, join(folder, "other", "teacher"))
}

/** What is there while the chain runs. */
interface Scene {
  /** `reinforce run`. */
  readonly main: ChildProcess
  readonly nats: readonly string[]
  readonly url: string
  readonly s3: S3Server
  readonly disk: FullDisk | null
  readonly surroundings: Surroundings
}

class HostileChain {
  private readonly started = performance.now()
  private readonly members: Member[] = []

  constructor(
    private readonly folder: string,
    private readonly options: HostileOptions,
  ) {}

  async run() {
    const { folder, options } = this
    await using server = await NatsServer.start()
    await using s3 = await S3Server.start(folder, bucket)
    using disk = FullDisk.mount(join(folder, "full"), 3)
    const storage = storageAt(await s3.door())
    await this.fillStore(storage)
    const surroundings = new Surroundings(folder, await s3.door({ delaySeconds: options.storeDelaySeconds }))
    const nats = ["--nats", server.url, "--job", job]
    const stage = [...stageOptions(places, options.views), ...nats, "--ack-wait", "10"]
    const main = startProgram(["reinforce", "run", "embedding", ...stage], surroundings.healthy())
    const mainErrors = errorsOf(main)
    try {
      const published = await this.chain({ main, nats, surroundings, disk, s3, url: server.url })
      const outcome = { seconds: this.seconds(), runExitCode: main.exitCode, runWords: lastWords(mainErrors()) }
      await this.leave()
      return {
        ...{
          ...outcome,
          ...(await this.told(nats, published)),
          workers: this.members.map((member) => member.report()),
        },
        trespasses: [...(await this.collect(storage)), ...this.left()],
        leftOut: disk ? [] : ["the worker on a full disk: mounting a tmpfs was refused (it takes root's rights)"],
      }
    } finally {
      const children = [main, ...this.members.map(({ child }) => child)]
      for (const child of children) kill(child)
      await Promise.all(children.map(ended))
    }
  }

  /** Until the job ends, or nobody is left to do it -> how many bad messages there were. */
  private async chain(scene: Scene): Promise<number> {
    const { main, surroundings, url } = scene
    if (this.options.badWorkers) await this.beginBroken(scene)
    // Where others finish the job before one of these has seen a shard, it has nothing to say.
    while (isRunning(main) && this.seconds() < this.options.maxSeconds && this.members.some(isYetToFail))
      await sleep(100)
    for (let i = 1; i <= this.options.workers; i++) this.begin(scene, `healthy ${i}`, surroundings.healthy(), null)
    await using messages = await BadMessages.start(url, this.messages())
    for (let other = !this.options.badWorkers; isRunning(main) && this.mayGoOn(); ) {
      await sleep(100)
      // Not the first: what the first one has is what the job is made with.
      if (other || this.healthy().every(({ shards }) => shards.length === 0)) continue
      this.begin(scene, "another model", surroundings.healthy({}, "other"), /model/)
      other = true
    }
    // The last worker may be gone a moment before the run has seen its last shard.
    await Promise.race([closed(main), sleep(5000)])
    return messages.published
  }

  private begin({ nats }: Scene, name: string, options: StartOptions, mustSay: RegExp | null): void {
    this.members.push(new Member(name, mustSay, nats, options, this.options.log))
  }

  private async beginBroken(scene: Scene): Promise<void> {
    const { surroundings, disk, s3 } = scene
    if (disk) this.begin(scene, "full disk", surroundings.healthy({ TMPDIR: disk.path }), /disk full|no space/i)
    this.begin(scene, "no credentials", surroundings.withoutCredentials(), /credentials/)
    // They were good until the models were open.
    const AWS_ENDPOINT_URL = await s3.door({ expired: (path) => !path.includes("config.json") })
    this.begin(scene, "credentials expired", surroundings.healthy({ AWS_ENDPOINT_URL }), /expired|credentials/i)
  }

  private messages() {
    const { shards, badMessages } = this.options
    return {
      ...{ job, shards, input: `${places.input}/00000000.tar`, output: places.output },
      seconds: badMessages ? 1 : 2_000_000,
      victims: [victimUrl, join(this.folder, "victim", "keep.tar"), `${places.output}/../victim/keep.tar`],
    }
  }

  private healthy(): Member[] {
    return this.members.filter(({ mustSay }) => !mustSay)
  }

  private mayGoOn(): boolean {
    return this.seconds() < this.options.maxSeconds && this.healthy().some(({ child }) => isRunning(child))
  }

  private async leave(): Promise<void> {
    const deadline = this.seconds() + this.options.patienceSeconds
    while (this.seconds() < deadline && this.members.some(({ isGone }) => !isGone)) await sleep(100)
  }

  /** What the server knows in the end. */
  private async told(nats: readonly string[], published: number) {
    const { done, parked } = await statusOf(nats)
    const ours = parked.filter((record) => this.isOurs(record))
    const made = this.members.flatMap(({ shards }) => shards)
    return {
      done,
      parked: ours.map((record) => String(record.reason)),
      badMessages: { published, parked: parked.length - ours.length },
      made: new Set(made).size,
      madeTwice: [...new Set(made.filter((index, i) => made.indexOf(index) !== i))],
    }
  }

  /** Whether a record is of a shard as the job has it. */
  private isOurs({ task }: ParkedRecord): boolean {
    const { index, input, output } = (task ?? {}) as Readonly<Record<string, unknown>>
    const name = `${String(index).padStart(8, "0")}.tar`
    return input === `${places.input}/${name}` && output === `${places.output}/${name}`
  }

  private async fillStore(storage: Storage): Promise<void> {
    const { folder } = this
    const input = join(folder, "in")
    for (const name of readdirSync(input))
      await storage.put(`${places.input}/${name}`, [readFileSync(join(input, name))])
    await storage.put(victimUrl, [Buffer.from(victimText)])
    mkdirSync(join(folder, "victim"))
    writeFileSync(join(folder, "victim", "keep.tar"), victimText)
    mkdirSync(join(folder, "temporary"))
    mkdirSync(join(folder, "home"))
    cpSync(join(folder, "teacher"), join(folder, "good", "teacher"), { recursive: true })
  }

  /** Brings the outputs here, and says what else is there or was changed. */
  private async collect(storage: Storage): Promise<string[]> {
    const trespasses: string[] = []
    mkdirSync(join(this.folder, "many"))
    for (const name of await storage.list(`s3://${bucket}`)) {
      const bytes = async () => (await storage.readBytes(`s3://${bucket}/${name}`))!
      if (this.isOutput(name)) writeFileSync(join(this.folder, name), await bytes())
      else if (!isExpected(name)) trespasses.push(`s3://${bucket}/${name}`)
    }
    const kept = await storage.readBytes(victimUrl)
    if (!kept || Buffer.from(kept).toString() !== victimText) trespasses.push(victimUrl)
    const victim = join(this.folder, "victim", "keep.tar")
    if (!existsSync(victim) || readFileSync(victim, "utf8") !== victimText)
      trespasses.push("victim/keep.tar on this machine")
    return trespasses
  }

  private isOutput(name: string): boolean {
    const index = Number(/^many\/(\d{8})\.tar$/.exec(name)?.[1] ?? -1)
    return index >= 0 && index < this.options.shards
  }

  /** Copies that workers did not take away, though none was killed. */
  private left(): string[] {
    return readdirSync(join(this.folder, "temporary")).map((name) => `${name} in the temporary folder`)
  }

  private seconds(): number {
    return (performance.now() - this.started) / 1000
  }
}

/** Inputs, the job's records, and the file that is to stay. */
function isExpected(name: string): boolean {
  return /^in\/\d{8}\.tar$|^many\/(_done\/\d{8}\.tar\.json|[a-z]+\.jsonl?)$|^victim\/keep\.tar$/.test(name)
}

/** The client takes credentials from this process's environment, as those of the workers do from theirs. */
function storageAt(endpoint: string): Storage {
  Object.assign(process.env, credentials, { AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: "true" })
  return openStorage({ env: { AWS_ENDPOINT_URL: endpoint } })
}

/** Where the workers' processes live. The model has a relative name, which means another file in another folder. */
class Surroundings {
  constructor(
    private readonly folder: string,
    private readonly endpoint: string,
  ) {}

  healthy(changes: NodeJS.ProcessEnv = {}, cwd = "good") {
    const own = { TMPDIR: join(this.folder, "temporary"), AWS_ENDPOINT_URL: this.endpoint, ...credentials }
    const env = { ...process.env, ...own, AWS_EC2_METADATA_DISABLED: "true", ...changes }
    return { env, cwd: join(this.folder, cwd), stderr: "pipe" } as const
  }

  /** Neither in the environment nor at home. */
  withoutCredentials() {
    const none = { AWS_ACCESS_KEY_ID: undefined, AWS_SECRET_ACCESS_KEY: undefined, AWS_PROFILE: undefined }
    return this.healthy({ ...none, HOME: join(this.folder, "home") })
  }
}

/** Whether it runs, and no shard went back to the queue because of it. */
function isYetToFail({ child, hasFailed }: Member): boolean {
  return isRunning(child) && !hasFailed
}

class Member {
  readonly child: ChildProcess
  /** It has ended, and all that it wrote is here. */
  isGone = false
  private readonly errors: () => string

  constructor(
    readonly name: string,
    readonly mustSay: RegExp | null,
    nats: readonly string[],
    options: StartOptions,
    log?: (line: string) => void,
  ) {
    const args = ["reinforce", "worker", ...nats, "--workers", "1", "--threads", "1", "--name", name.replace(" ", "-")]
    this.child = startProgram(args, options)
    this.errors = errorsOf(this.child)
    void closed(this.child).then(() => {
      this.isGone = true
    })
    if (log) this.child.once("exit", (code) => log(`${name} left with ${code}`))
  }

  /** Indices of those that it made, in order. */
  get shards(): number[] {
    return [...this.errors().matchAll(/^shard (\d+): \d+ samples$/gm)].map(([, index]) => Number(index))
  }

  get hasFailed(): boolean {
    return this.errors().includes("back to the queue")
  }

  report(): WorkerReport {
    const { name, mustSay, child } = this
    return { name, mustSay, exitCode: child.exitCode, shards: this.shards.length, words: lastWords(this.errors()) }
  }
}

/** From its error on, or the last line. */
function lastWords(text: string): string[] {
  const lines = text.trim().split("\n")
  const error = lines.findIndex((line) => line.startsWith("mobileclip: "))
  return (error >= 0 ? lines.slice(error) : lines.slice(-1)).map((line) => line.trim())
}
