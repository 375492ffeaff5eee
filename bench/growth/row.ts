/** What a row of the table is: what grows, how its inputs are made, what measures it, and what it may cost. */
import type { Build } from "./build.ts"

export interface Size {
  /** How much there is: samples, rows, shards, parameters. Exponents and memory are a unit. */
  readonly units: number
  /** Numbers that make the inputs and the work, for people as well: `{ shards: 480 }`. */
  readonly given: Readonly<Record<string, number>>
}

export type Form = "short" | "full"

/** `first`: nothing was kept of an earlier run. `again`: what the first run kept is there. `half`: a run goes on at half of its samples. */
export type Phase = "first" | "again" | "half"

export interface Row {
  readonly name: string
  /** What is measured, for the table. */
  readonly title: string
  readonly unit: string
  readonly sizes: Readonly<Record<Form, readonly Size[]>>
  /** Hardly any work: it loads modules, compiles the code, and tells what does not depend on the size. */
  readonly warmUp: Size
  /** Module of `measures/`. */
  readonly measure: string
  readonly phases: readonly Phase[]
  /** Most bytes of memory for one more unit, and why. */
  readonly bound: { readonly bytes: number; readonly why: string }
  readonly input?: Input
}

export interface Input {
  /** Rows of one name share what is made. */
  readonly name: string
  /** Numbers of the size that it is made by. Default: all. */
  readonly uses?: readonly string[]
  /** Makes what a size needs in an empty folder. */
  readonly make: (folder: string, size: Size) => Promise<void>
}

/** What a measuring process is told. */
export interface Task {
  readonly dist: string
  readonly measure: string
  readonly size: Size
  readonly warmUp: Size
  readonly phase: Phase
  /** Folders of the inputs; empty ones where the row needs none. */
  readonly input: string
  readonly warmUpInput: string
}

/** What was measured of a size. */
export interface Figures {
  readonly seconds: number
  /** All threads', and those of processes that ended, above the warm-up's: other work on the machine does not count. */
  readonly processorSeconds: number
  /** Resident at the worst, above what the process was before. */
  readonly bytes: number
  /** The longest time in which the event loop took no turn. */
  readonly stallSeconds: number
}

export type Outcome =
  | ({ readonly kind: "measured" } & Figures)
  | { readonly kind: "not there"; readonly what: string }
  | { readonly kind: "over"; readonly seconds: number }
  | { readonly kind: "failed"; readonly message: string }

/** Some figures of its own, where the work is another process. */
export type Work = () => Promise<Partial<Figures> | undefined>

/** Loads modules and opens what is not measured. For the warm-up, the size and the input are its own. */
export type Prepare = (build: Build, task: Task) => Promise<Work>
