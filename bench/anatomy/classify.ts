/** Rows of a trace by kind of work, with what each must compute and move. */
import type { TraceRow } from "../../torch/index.ts"
import { type Argument, parseArguments } from "./operations.ts"
import { type Kind, type Operator, operators, views } from "./operators.ts"

export interface Work {
  readonly kind: Kind
  readonly calls: number
  readonly seconds: number
  /** Zero where the work belongs to a call around this one. */
  readonly operations: number
  readonly bytes: number
}

/** A backward pass of an own operator computes two gradients for each product of its forward. */
const backwardOverForward = 2

/** All that an update calls is the optimiser's. */
export type Phase = "gradients" | "update"

export function workOf(row: TraceRow, phase: Phase): Work {
  const place = placeOf(row)
  const { kind, counted } = place.names.length > 0 ? ofOperator(place) : ofNode(place)
  const { operations, bytes } = counted ? needs(counted, row) : { operations: 0, bytes: 0 }
  const { calls, seconds } = row
  return { kind: kindIn(place, phase, kind), calls, seconds, operations, bytes }
}

/** Whether another operator calls it, and the kind of the call around it. */
export function placeIn(row: TraceRow, phase: Phase): { readonly around: Kind; readonly isNested: boolean } {
  const place = placeOf(row)
  const parts = row.path.split(">")
  if (place.names.length > 1) return { around: workOf(row, phase).kind, isNested: true }
  const isOfProgram = parts.every(
    (part) => part.startsWith("region:") || part === place.names[0] || part === "backward pass",
  )
  return {
    around: isOfProgram ? "node" : kindIn({ ...place, isRegion: false }, phase, "autograd"),
    isNested: place.names.length === 0,
  }
}

interface Place {
  /** Operators, outermost first. */
  readonly names: readonly string[]
  readonly args: readonly Argument[]
  readonly forward: string
  readonly forwardArgs: readonly Argument[]
  readonly region: string | undefined
  /** The path ends in a region: what is left is the program's own. */
  readonly isRegion: boolean
  readonly isNode: boolean
}

function placeOf(row: TraceRow): Place {
  // Names of C++ templates have ">" too.
  const parts = row.path.split(">").filter((part) => part !== "")
  const isOfEngine = (part: string) => /^(backward pass$|autograd::|backward:|region:|torch::autograd::)/.test(part)
  return {
    names: parts.filter((part) => !isOfEngine(part)),
    args: parseArguments(row.arguments),
    forward: row.forward,
    forwardArgs: parseArguments(row.forwardArguments),
    region: parts.findLast((part) => part.startsWith("region:"))?.slice("region:".length),
    isRegion: parts.at(-1)!.startsWith("region:"),
    isNode: parts.at(-1)!.startsWith("backward:"),
  }
}

function kindIn({ region, isRegion }: Place, phase: Phase, kind: Kind): Kind {
  if (isRegion) return "node"
  if (phase === "update") return "optimizer"
  return region === "loss" ? "loss" : kind
}

interface Counted {
  readonly operator: Operator
  readonly args: readonly Argument[]
  readonly factor: number
}

interface Found {
  readonly kind: Kind
  /** Absent: a call around this one has the work. */
  readonly counted?: Counted
}

function ofOperator(place: Place): Found {
  const { names, args } = place
  const around = names.slice(0, -1).map((name) => kindOf(name, place))
  const name = names.at(-1)!
  const whole = names.findIndex((each) => operators[each]?.whole)
  if (whole >= 0 && whole < names.length - 1) return { kind: around[whole]! }
  const own = kindOf(name, place)
  if (!own) {
    const nearest = around.findLast((kind) => kind !== undefined)
    return { kind: nearest ?? (views.has(name) ? "calls" : "other") }
  }
  if (around.includes(own) || isInOwnNode(place)) return { kind: own }
  // The arguments are those of the first operator.
  const { operations: _, ...moves } = operators[name]!
  return { kind: own, counted: { operator: names.length === 1 ? operators[name]! : moves, args, factor: 1 } }
}

/** What a product's node multiplies is what the product was: a layer, or scores. */
function kindOf(name: string, { args, forward, forwardArgs }: Place): Kind | undefined {
  const own = kindBy(operators[name], args)
  if (own !== "products" && own !== "attention") return own
  const made = kindBy(operators[forward], forwardArgs)
  return made === "products" || made === "attention" ? made : own
}

function kindBy(operator: Operator | undefined, args: readonly Argument[]): Kind | undefined {
  return typeof operator?.kind === "function" ? operator.kind(args) : operator?.kind
}

/** The node of an operator of our own: its work is counted with the node. */
function isInOwnNode({ forward }: Place): boolean {
  return forward.startsWith("mobileclip::")
}

function ofNode(place: Place): Found {
  const { forward, forwardArgs: args, isNode } = place
  const operator = operators[forward]
  if (!isNode || !operator || !isInOwnNode(place)) return { kind: "autograd" }
  const bytes = (_: readonly Argument[], ofGradients: number) =>
    ofGradients + backwardOverForward * bytesOfArguments(args)
  return {
    kind: kindBy(operator, args)!,
    counted: { operator: { ...operator, bytes }, args, factor: backwardOverForward },
  }
}

/** Shapes are those of float32; lists that are not shapes are short. A node reads them, and writes their gradients. */
function bytesOfArguments(args: readonly Argument[]): number {
  return 4 * args.reduce<number>((sum, arg) => sum + (Array.isArray(arg) ? arg.reduce((n, dim) => n * dim, 1) : 0), 0)
}

function needs({ operator, args, factor }: Counted, row: TraceRow): { operations: number; bytes: number } {
  return {
    operations: row.calls * factor * (operator.operations?.(args) ?? 0),
    bytes: operator.bytes ? bytesOf(operator.bytes, args, row) : row.bytes,
  }
}

function bytesOf(bytes: NonNullable<Operator["bytes"]>, args: readonly Argument[], row: TraceRow): number {
  return row.calls * bytes(args, row.bytes / row.calls)
}
