/**
 * A tree of layers. Children are found by walking a module's own fields, in the order they were declared, so a
 * parameter's name is its path: `image.stem.0.convKxk.0.conv.weight`.
 */
import { Random } from "../core/arrays/random.ts"
import { type Init, Parameter } from "../tensor/parameter.ts"

export abstract class Module {
  /** Every parameter and buffer below this module, by path. */
  namedParameters(): Map<string, Parameter> {
    const found = new Map<string, Parameter>()
    walk(this, "", (path, value) => value instanceof Parameter && found.set(path, value))
    return found
  }

  /** Learned values below this module; buffers are not counted. */
  learnedSize(): number {
    const learned = [...this.namedParameters().values()].filter(({ role }) => role === "parameter")
    return learned.reduce((sum, { size }) => sum + size, 0)
  }
}

/** A copy of `module` in which some fields are replaced. */
export function withFields<M extends Module>(module: M, fields: Readonly<Record<string, unknown>>): M {
  return Object.assign(Object.create(Object.getPrototypeOf(module)), module, fields)
}

function walk(value: unknown, path: string, visit: (path: string, value: Module | Parameter) => void): void {
  if (value instanceof Parameter) visit(path, value)
  else if (value instanceof Module) {
    visit(path, value)
    for (const [name, field] of Object.entries(value)) walk(field, path ? `${path}.${name}` : name, visit)
  } else if (Array.isArray(value))
    value.forEach((item, i) => {
      walk(item, `${path}.${i}`, visit)
    })
}

/**
 * Gives every parameter its initial values, a function of `seed` and the parameter's own path only. They are made whenever
 * they are read and are not kept, so that what is replaced by a checkpoint's costs nothing.
 */
export function initialize(model: Module, seed: number): void {
  for (const [path, parameter] of model.namedParameters())
    parameter.source = () => initialValues(parameter.init, parameter.size, Random.of(seed, path))
}

function initialValues(init: Init, size: number, random: Random): Float32Array {
  const values = new Float32Array(size)
  switch (init.kind) {
    case "constant":
      return values.fill(init.value)
    case "normal":
      random.fillNormal(values, init.std)
      return values
    case "fanIn":
      return values.map(uniformIn(1 / Math.sqrt(init.fanIn), random))
    case "uniform":
      return values.map(uniformIn(init.bound, random))
    default:
      throw new Error(`unknown initialiser ${init satisfies never}`)
  }
}

function uniformIn(bound: number, random: Random): () => number {
  return () => random.uniform(-bound, bound)
}
