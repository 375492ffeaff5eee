/**
 * Commands that are killed with SIGKILL at random times and given again: what comes out must be what an undisturbed run
 * gives, in every byte, and nothing else may be there. Each has a working folder, a temporary folder and a home of its
 * own, so that whatever is left anywhere is seen; processes are known by the temporary folder in their environment.
 */
import { mkdirSync, readdirSync, readFileSync, realpathSync, rmSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { Random } from "../src/core/arrays/random.ts"
import { type Contents, contentsOf, type Differing } from "./folder-contents.ts"
import { ended, errorsOf, kill, startNode } from "./program.ts"

export interface KilledCommand {
  readonly name: string
  /** For Node, in the working folder. */
  readonly begin: readonly string[]
  /** The way on after a death, given the working folder. */
  readonly goOn: (work: string) => readonly string[]
  readonly env?: NodeJS.ProcessEnv
  /** How it refuses, after a death, what was whole already: the killed one had done all but end. */
  readonly wasDone?: RegExp
  readonly differing: Differing
  /** What it reads, which must stay as it is. */
  readonly inputs: string
}

interface KillOptions {
  /** Runs that are killed at least once. */
  readonly times: number
  readonly seed: number
  /** Where the working folders are made. */
  readonly folder: string
  /** Children of a killed process must be gone within so many seconds. */
  readonly strayPatience: number
  readonly log?: (line: string) => void
}

export interface KillReport {
  readonly command: string
  /** That an undisturbed run takes. */
  readonly seconds: number
  readonly runs: number
  readonly kills: number
  /** Runs that ended with exit code 0 and the right bytes, and left nothing. */
  readonly right: number
  /** Runs with each fault. */
  readonly faults: Readonly<Record<Fault, number>>
  /** What was seen, each with the number of runs. */
  readonly findings: ReadonlyMap<string, number>
}

const faultNames = ["failed", "left", "wrong", "stray"] as const
/** It could not go on; something else is there; bytes differ or are missing; a process outlived the killed one. */
type Fault = (typeof faultNames)[number]

/** Kills of one run, at most. */
const mostKills = 3

export async function killAtRandom(command: KilledCommand, options: KillOptions): Promise<KillReport> {
  const place = new Place(join(options.folder, command.name.replaceAll(" ", "-")), command)
  try {
    return await new Trials(command, options, place).report()
  } finally {
    place.remove()
  }
}

class Trials {
  private readonly findings = new Map<string, number>()
  private readonly faults: Record<Fault, number> = { failed: 0, left: 0, wrong: 0, stray: 0 }

  constructor(
    private readonly command: KilledCommand,
    private readonly options: KillOptions,
    private readonly place: Place,
  ) {}

  async report(): Promise<KillReport> {
    const { command, findings, faults } = this
    const inputs = contentsOf(command.inputs)
    const { expected, seconds } = await this.undisturbed()
    const trialOptions = { ...command, expected, seconds, strayPatience: this.options.strayPatience }
    let [runs, kills, right] = [0, 0, 0]
    for (let number = 0; runs < this.options.times; number++) {
      if (number >= 5 * this.options.times) throw new Error(`${command.name} ends before it can be killed`)
      const trial = await new Trial(this.place, trialOptions, this.random(number)).run()
      if (trial.kills === 0 && trial.faults.size === 0) continue
      runs++
      kills += trial.kills
      if (this.count(trial.faults, number)) right++
    }
    for (const line of differences(inputs, contentsOf(command.inputs))) this.note(`inputs: ${line}`)
    return { command: command.name, seconds, runs, kills, right, faults, findings }
  }

  private random(number: number): Random {
    return Random.of(this.options.seed, this.command.name, number)
  }

  /** Twice, so that what differs by itself is not taken for a fault. */
  private async undisturbed() {
    const first = await this.wholeRun()
    const second = await this.wholeRun()
    const lines = differences(first.contents, second.contents)
    if (lines.length > 0) throw new Error(`two undisturbed runs of ${this.command.name} differ: ${lines.join("; ")}`)
    for (const name of first.contents.keys()) if (isLeftover(name)) this.note(`left by an undisturbed run: ${name}`)
    return { expected: first.contents, seconds: Math.max(first.seconds, second.seconds) }
  }

  private async wholeRun() {
    this.place.clear()
    const started = performance.now()
    const { code, errors } = await this.place.run(this.command.begin, 600)
    if (code !== 0) throw new Error(`${this.command.name} ended with ${code} undisturbed: ${errors}`)
    return { contents: this.place.contents(), seconds: (performance.now() - started) / 1000 }
  }

  /** Whether there was none. */
  private count(found: ReadonlyMap<string, Fault>, number: number): boolean {
    for (const fault of new Set(found.values())) this.faults[fault]++
    for (const text of new Set([...found].map(([what, fault]) => `${fault}: ${withoutDigits(what)}`))) this.note(text)
    for (const [what, fault] of found) this.options.log?.(`${this.command.name}, run ${number}: ${fault}: ${what}`)
    return found.size === 0
  }

  private note(text: string): void {
    this.findings.set(text, (this.findings.get(text) ?? 0) + 1)
  }
}

/** Names under which nothing is to stay, in whatever run. */
function isLeftover(name: string): boolean {
  return /(^|\/)\.[^/]*\.(tmp|lock)\/?$|\.(tmp|lock|incomplete)\/?$/.test(name) || /^temporary\/./.test(name)
}

/** Random names of one kind are one finding: digits of neighbours and hashes, and what `mkdtemp` appends. */
function withoutDigits(text: string): string {
  return text
    .replaceAll(/(?<=[.-])[0-9a-f]{12,}(?=[./-]|$)/g, "#")
    .replaceAll(/(?<=mobileclip(-[a-z]+)?-)[A-Za-z0-9]{6}(?=\/|$)/g, "#")
}

interface TrialOptions extends KilledCommand, Pick<KillOptions, "strayPatience"> {
  /** What an undisturbed run leaves. */
  readonly expected: Contents
  readonly seconds: number
}

/** One run with its deaths. */
class Trial {
  kills = 0
  readonly faults = new Map<string, Fault>()

  constructor(
    private readonly place: Place,
    private readonly options: TrialOptions,
    private readonly random: Random,
  ) {}

  async run(): Promise<this> {
    this.place.clear()
    const watches: Promise<void>[] = []
    const deaths = 1 + this.random.int(mostKills)
    let whole = false
    for (let death = 0; death < deaths && !whole && !this.hasFailed; death++) {
      const run = await this.place.run(this.next(), this.random.uniform() * this.options.seconds)
      if (run.killed) watches.push(this.watchOrphans())
      else whole = this.accept(run)
      // Half of the time at once, as a supervisor does, while children of the dead one may still be there.
      if (this.random.chance(0.5)) await Promise.all(watches)
    }
    if (!whole && !this.hasFailed) this.accept(await this.place.run(this.next(), this.patience))
    await Promise.all(watches)
    await this.judge()
    return this
  }

  private next(): readonly string[] {
    return this.kills === 0 ? this.options.begin : this.options.goOn(this.place.work)
  }

  /** A run that is told to go on may wait for what the dead one left, but not for ever. */
  private get patience(): number {
    return 60 + 10 * this.options.seconds
  }

  private get hasFailed(): boolean {
    return [...this.faults.values()].includes("failed")
  }

  private accept({ code, errors }: Ended): boolean {
    if (code === 0 || (this.kills > 0 && this.options.wasDone?.test(errors))) return true
    this.faults.set(`exit code ${code ?? "none: it did not end"}: ${lastLines(errors)}`, "failed")
    return false
  }

  private async watchOrphans(): Promise<void> {
    const { strayPatience } = this.options
    this.kills++
    const orphans = this.place.processes()
    for (let waited = 0; waited < strayPatience && orphans.some(isAlive); waited += 0.1) await sleep(100)
    for (const { pid, line } of orphans.filter(isAlive)) {
      this.faults.set(`${line} ran on for ${strayPatience} s`, "stray")
      process.kill(pid, "SIGKILL")
    }
  }

  private async judge(): Promise<void> {
    const { strayPatience } = this.options
    for (let waited = 0; waited < strayPatience && this.place.processes().length > 0; waited += 0.1) await sleep(100)
    for (const { pid, line } of this.place.processes()) {
      this.faults.set(`${line} after the last run`, "stray")
      process.kill(pid, "SIGKILL")
    }
    const { expected } = this.options
    const found = this.place.contents()
    for (const name of found.keys())
      if (!expected.has(name) && isOutermost(name, expected)) this.faults.set(name, "left")
    // What a run that could not go on did not write is not a further fault.
    if (this.hasFailed) return
    for (const name of expected.keys()) {
      if (!found.has(name)) this.faults.set(`${name} is missing`, "wrong")
      else if (found.get(name) !== expected.get(name)) this.faults.set(name, "wrong")
    }
  }
}

/** Whether the folder around it is an expected one. */
function isOutermost(name: string, expected: Contents): boolean {
  const around = name.replace(/[^/]+\/?$/, "")
  return around === "" || expected.has(around)
}

function differences(a: Contents, b: Contents): string[] {
  return [...new Set([...a.keys(), ...b.keys()])].filter((name) => a.get(name) !== b.get(name))
}

function lastLines(text: string): string {
  return text.trim().split("\n").slice(-2).join(" / ").slice(0, 400)
}

interface Ended {
  readonly killed: boolean
  /** null where it was killed, or had to be because it did not end. */
  readonly code: number | null
  readonly errors: string
}

/** Where a command runs: always the same paths, as some are part of what it writes. */
class Place {
  readonly work: string

  constructor(
    private readonly root: string,
    private readonly command: KilledCommand,
  ) {
    this.work = join(root, "work")
  }

  clear(): void {
    this.remove()
    for (const name of ["work", "temporary", "home"]) mkdirSync(join(this.root, name), { recursive: true })
  }

  remove(): void {
    rmSync(this.root, { recursive: true, force: true })
  }

  contents(): Contents {
    return contentsOf(this.root, this.command.differing)
  }

  /** Kills it after so many seconds. */
  async run(args: readonly string[], seconds: number): Promise<Ended> {
    const child = startNode(args, { cwd: this.work, env: this.environment(), stderr: "pipe" })
    const errors = errorsOf(child)
    const timer = setTimeout(() => kill(child), 1000 * seconds)
    const code = await ended(child)
    clearTimeout(timer)
    return { killed: child.signalCode === "SIGKILL", code, errors: errors() }
  }

  /** That were started here, by whomever; none where the system does not show them. */
  processes(): StrayProcess[] {
    return processIds().flatMap((pid) => {
      const environment = readOf(pid, "environ")
      if (!environment.split("\0").includes(`TMPDIR=${join(this.root, "temporary")}`)) return []
      const args = readOf(pid, "cmdline").split("\0").filter(Boolean)
      return [{ pid, started: startOf(pid), line: args.slice(0, 4).join(" ") }]
    })
  }

  private environment(): NodeJS.ProcessEnv {
    const home = join(this.root, "home")
    return {
      ...process.env,
      ...{ TMPDIR: join(this.root, "temporary"), HOME: home },
      ...{ XDG_CACHE_HOME: join(home, "cache"), HF_HOME: join(home, "huggingface") },
      // Libraries are to be kept quiet by the command itself.
      ORT_DISABLE_TELEMETRY: undefined,
      ...this.command.env,
    }
  }
}

interface StrayProcess {
  readonly pid: number
  /** Tells it from a later one of the same number. */
  readonly started: string
  readonly line: string
}

function isAlive({ pid, started }: StrayProcess): boolean {
  return startOf(pid) === started && started !== ""
}

function processIds(): number[] {
  try {
    return readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(Number) // biome-ignore format: a row
  } catch {
    return []
  }
}

/** Empty for one that is gone, or has ended and is not yet waited for. */
function startOf(pid: number): string {
  const fields = readOf(pid, "stat")
    .replace(/^.*\) /s, "")
    .split(" ")
  return fields[0] === "Z" ? "" : (fields[19] ?? "")
}

function readOf(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, "utf8")
  } catch {
    return ""
  }
}

/** Whether strays can be seen here. */
export function showsProcesses(): boolean {
  return processIds().length > 0
}

/** A folder by its own name: links in it would make two paths of one. */
export function realFolder(path: string): string {
  return realpathSync(path)
}
