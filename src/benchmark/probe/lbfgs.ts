/** L-BFGS (Nocedal and Wright, Numerical Optimization, algorithm 7.5) with a backtracking search, for smooth convex functions. */

/** The value at `at`; writes the gradient there. */
type Objective = (at: Float64Array, gradient: Float64Array) => number

export interface MinimizeOptions {
  /** It ends where no part of the gradient is larger. */
  readonly tolerance?: number
  readonly iterations?: number
  readonly signal?: AbortSignal | undefined
}

const minimizeDefaults = { tolerance: 1e-5, iterations: 1000 } as const satisfies MinimizeOptions

/** Steps that the curvature is estimated from. */
const memory = 10

interface Step {
  readonly moved: Float64Array
  readonly turned: Float64Array
  /** 1 / (moved . turned) */
  readonly weight: number
}

/** A minimum, as near as the tolerance asks for, or the iterations allow. The start is not changed. */
export function minimize(objective: Objective, start: Float64Array, options: MinimizeOptions = {}): Float64Array {
  const { tolerance, iterations, signal } = { ...minimizeDefaults, ...options }
  let at = start.slice()
  let gradient = new Float64Array(at.length)
  let value = objective(at, gradient)
  const steps: Step[] = []
  for (let i = 0; i < iterations && largest(gradient) > tolerance; i++) {
    signal?.throwIfAborted()
    const direction = descent(gradient, steps)
    const first = steps.length === 0 ? Math.min(1, 1 / Math.sqrt(dot(gradient, gradient))) : 1
    const next = search(objective, { at, gradient, value }, direction, first)
    // Rounding leaves nothing to gain.
    if (!next) break
    remember(steps, difference(next.at, at), difference(next.gradient, gradient))
    ;({ at, gradient, value } = next)
  }
  return at
}

interface Point {
  readonly at: Float64Array<ArrayBuffer>
  readonly gradient: Float64Array<ArrayBuffer>
  readonly value: number
}

/** The two-loop recursion: minus the inverse curvature times the gradient. */
function descent(gradient: Float64Array, steps: readonly Step[]): Float64Array {
  const direction = gradient.map((value) => -value)
  const shares: number[] = []
  for (const [i, { moved, turned, weight }] of [...steps.entries()].reverse()) {
    shares[i] = weight * dot(moved, direction)
    add(direction, turned, -shares[i]!)
  }
  const last = steps.at(-1)
  if (last) scale(direction, 1 / (last.weight * dot(last.turned, last.turned)))
  for (const [i, { moved, turned, weight }] of steps.entries())
    add(direction, moved, shares[i]! - weight * dot(turned, direction))
  return direction
}

/** Halves the step until the value falls enough; null where it does not. */
function search(objective: Objective, from: Point, direction: Float64Array, first: number): Point | null {
  const slope = dot(from.gradient, direction)
  for (let length = first; length > 1e-12; length /= 2) {
    const at = from.at.slice()
    add(at, direction, length)
    const gradient = new Float64Array(at.length)
    const value = objective(at, gradient)
    if (value <= from.value + 1e-4 * length * slope) return { at, gradient, value }
  }
  return null
}

/** A step along which the gradient did not grow says nothing of the curvature. */
function remember(steps: Step[], moved: Float64Array, turned: Float64Array): void {
  const product = dot(moved, turned)
  if (product <= 1e-10 * dot(turned, turned)) return
  steps.push({ moved, turned, weight: 1 / product })
  if (steps.length > memory) steps.shift()
}

function largest(values: Float64Array): number {
  return values.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!
  return sum
}

function add(to: Float64Array, values: Float64Array, factor: number): void {
  for (let i = 0; i < to.length; i++) to[i]! += factor * values[i]!
}

function scale(values: Float64Array, factor: number): void {
  for (let i = 0; i < values.length; i++) values[i]! *= factor
}

function difference(a: Float64Array, b: Float64Array): Float64Array {
  return a.map((value, i) => value - b[i]!)
}
