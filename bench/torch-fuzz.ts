/**
 * Calls random operators of ATen, the addon's own more often, and functions of the interface, with random arguments, most
 * of them wrong: other types, shapes, dtypes and devices, freed tensors, NaN, huge integers, cyclic arrays, missing and
 * surplus arguments. Every call must return or throw an `Error`.
 *
 *     node dist/bench/torch-fuzz.js [calls=20000] [seed] [trace file]
 *
 * The trace file always holds the call in progress, so that a crash can be traced back to it.
 */
import { closeSync, ftruncateSync, openSync, realpathSync, writeSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { Random } from "../src/core/arrays/random.ts"
import * as torch from "../torch/index.ts"

interface FuzzResult {
  readonly returned: number
  readonly threw: number
  /** Operators and functions that returned at least once. */
  readonly operators: number
}

type Report = (operator: string, args: readonly unknown[]) => void

/** @throws Error where a call threw something else than an Error, or an operator's error does not name it */
export function fuzz(calls: number, seed: number, report: Report = () => {}): FuzzResult {
  torch.onWarning(() => {})
  const random = new Random(seed)
  const operators = callable(torch.operatorNames())
  const own = callable(ownNames)
  const returned = new Set<string>()
  let [successes, threw] = [0, 0]
  for (let i = 0; i < calls; i++) {
    torch.scope(() => {
      const [name, args, run] = random.chance(0.1)
        ? functionCall(random)
        : operatorCall(random.chance(0.1) ? own : operators, random)
      report(name, args)
      try {
        run()
        returned.add(name)
        successes++
      } catch (error) {
        const named = error instanceof Error && (!name.includes("::") || error.message.includes(name))
        if (!named) throw new Error(`bad error of ${name}: ${error}`)
        threw++
      }
    })
  }
  return { returned: successes, threw, operators: returned.size }
}

type Call = readonly [name: string, args: readonly unknown[], run: () => unknown]

function operatorCall(operators: readonly Callable[], random: Random): Call {
  const { name, types } = random.pick(operators)
  const args = argumentsFor(types, random)
  return [name, args, () => torch.call(name, ...args)]
}

/** A function of the interface, or a method or property of a tensor. */
function functionCall(random: Random): Call {
  const args = Array.from({ length: random.int(4) }, () => junk(random))
  if (random.chance(0.5)) {
    const [name, run] = random.pick(functions)
    return [name, args, () => Reflect.apply(run, undefined, args)]
  }
  const target = random.chance(0.2) ? junk(random) : anyTensor(random)
  const [name, property] = random.pick(properties)
  const run = property.value ?? (random.chance(0.5) ? property.set : property.get) ?? property.get
  return [`Tensor.${name}`, [target, ...args], () => Reflect.apply(run, target, args)]
}

/** Without functions that would change the rest of the run (warnings, threads). */
export const functions = Object.entries(torch).filter(
  (entry): entry is [string, (...args: unknown[]) => unknown] =>
    typeof entry[1] === "function" && !["Tensor", "onWarning", "setThreads"].includes(entry[0]),
)
export const properties = Object.entries(Object.getOwnPropertyDescriptors(torch.Tensor.prototype)).filter(
  ([name]) => name !== "constructor",
)

interface Callable {
  readonly name: string
  /** Types as in the schema: "Tensor", "int[2]", ... */
  readonly types: readonly string[]
}

/** The addon's own. */
const ownNames = ["attention", "depthwise_conv2d", "gelu", "norm_sum"].map((name) => `mobileclip::${name}`)

/** These take as many steps as their argument says: 2^40 would look like a hang. */
const endless = /^aten::special_\w+_polynomial_/

function callable(names: readonly string[]): Callable[] {
  return [...names].sort().flatMap((name) => {
    if (endless.test(name)) return []
    try {
      return [{ name, types: parameterTypes(torch.schemaOf(name)) }]
    } catch {
      return [] // refused by name or by a type that JavaScript cannot give
    }
  })
}

/** "f(Tensor self, int[1]? dim, *, bool keepdim=False) -> Tensor" -> ["Tensor", "int[1]?", "bool"] */
function parameterTypes(schema: string): string[] {
  const list = schema.slice(schema.indexOf("(") + 1, schema.lastIndexOf(") ->"))
  return list
    .replace(/\([a-z!| ->*]*\)/g, "")
    .split(/, (?![^[]*\])/)
    .filter((parameter) => parameter.includes(" "))
    .map((parameter) => parameter.split(" ")[0]!)
}

function argumentsFor(types: readonly string[], random: Random): unknown[] {
  const wrongness = random.pick([0, 0.1, 0.4])
  const args = types.map((type) => (random.chance(wrongness) ? junk(random) : fitting(type, random)))
  if (random.chance(0.1)) args.pop()
  if (random.chance(0.05)) args.push(junk(random))
  if (random.chance(0.05)) args.push({ [random.pick(["self", "dim", "out", "nonsense"])]: junk(random) })
  return args
}

function fitting(type: string, random: Random): unknown {
  if (type.endsWith("?")) return random.chance(0.4) ? null : fitting(type.slice(0, -1), random)
  const list = /^(.*)\[(\d*)\]$/.exec(type)
  if (list) {
    const length = list[2] ? Number(list[2]) : random.int(4)
    return Array.from({ length }, () => fitting(list[1]!, random))
  }
  switch (type) {
    case "Tensor":
      return anyTensor(random)
    case "int":
    case "SymInt":
      return random.int(12) - 3
    case "float":
      return random.normal() * 2
    case "Scalar":
      return random.chance(0.5) ? random.int(8) - 2 : random.normal()
    case "bool":
      return random.chance(0.5)
    case "str":
      return random.pick(["mean", "none", "tanh", "reflect", "linear", "ij", "L", "floor", "abc", "bi,bj->ij"])
    case "ScalarType":
      return random.pick(dtypes)
    case "Device":
      return random.pick(["cpu", "cpu", "cpu", "cuda", "mps", "cuda:7"])
    case "Layout":
      return "strided"
    case "MemoryFormat":
      return random.pick(["contiguous", "preserve", "channels_last"])
    default:
      return null
  }
}

const dtypes = ["float32", "float64", "float16", "bfloat16", "int64", "int32", "uint8", "bool"] as const

function anyTensor(random: Random): torch.Tensor {
  const shape = Array.from({ length: random.int(5) }, () => random.pick([0, 1, 2, 2, 3, 3, 4, 5]))
  const dtype = random.chance(0.5) ? "float32" : random.pick(dtypes)
  let made = torch.randn(shape, { dtype: "float32" }).mul(3).to({ dtype })
  if (random.chance(0.2) && shape.length > 1) made = made.transpose(0, -1)
  if (random.chance(0.1)) made = made.unsqueeze(0).expand([3, ...made.shape])
  if (random.chance(0.2) && dtype.includes("float")) made = made.detach().requiresGrad_()
  if (random.chance(0.05)) made.free()
  return made
}

function junk(random: Random): unknown {
  return random.pick(junkMakers)(random)
}

const junkMakers: readonly ((random: Random) => unknown)[] = [
  anyTensor,
  anyTensor,
  (random) => {
    const freed = anyTensor(random)
    freed.free()
    return freed
  },
  (random) => [anyTensor(random), junk(random)],
  (random) => random.pick([undefined, null, true, false, "", "abc", "float32", "cpu", "cuda:99", "\u0000", "💥"]),
  (random) => random.pick([NaN, Infinity, -Infinity, -0, 0, -1, 0.5, 1e30, 2 ** 40, -(2 ** 40), 2 ** 53, 2 ** 62]),
  (random) => random.pick([0n, -1n, 2n ** 40n, 2n ** 62n, 2n ** 63n - 1n, -(2n ** 63n), 2n ** 70n]),
  (random) => Array.from({ length: random.int(6) }, () => random.pick([-1, 0, 1, 2, 3, 2 ** 40, NaN, null, "x"])),
  () => [],
  () => cyclic(),
  () => new Array(2 ** 31),
  () => ({}),
  () => Object.create(torch.Tensor.prototype),
  () => new Proxy({}, { get: () => { throw new Error("trap") } }), // biome-ignore format: one line
  () => new Proxy([], { get: () => 3 }),
  () => () => 1,
  () => Symbol("junk"),
  () => new Date(),
  () => new Float32Array(3),
  () => Promise.resolve(1),
]

function cyclic(): unknown[] {
  const array: unknown[] = [1]
  array.push(array)
  return array
}

function describe(value: unknown, depth = 0): string {
  if (Array.isArray(value)) {
    if (depth > 1) return "[...]"
    const shown = Array.from({ length: Math.min(value.length, 9) }, (_, i) => describe(value[i], depth + 1))
    return `[${shown.join(", ")}]`
  }
  if (value instanceof torch.Tensor && Object.getOwnPropertySymbols(value).length > 0) return value.toString()
  return typeof value === "object" && value !== null ? "{...}" : String(value)
}

function main(calls: number, seed: number, trace: string | undefined): void {
  const file = trace ? openSync(trace, "w") : null
  console.log(`libtorch ${torch.version()}: ${calls} calls, seed ${seed}`)
  const { returned, threw, operators } = fuzz(calls, seed, (name, args) => {
    if (file === null) return
    ftruncateSync(file)
    writeSync(file, `${name}(${args.map((arg) => describe(arg)).join(", ")})\n`, 0)
  })
  if (file !== null) closeSync(file)
  console.log(`${returned} returned (${operators} operators), ${threw} threw, 0 crashes`)
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const [calls = "20000", seed = String(Date.now() % 1e6), trace] = process.argv.slice(2)
  main(Number(calls), Number(seed), trace)
}
