/** Any ATen operator by its name: looked up once, then called by a number. */
import { editDistance } from "../src/core/nearest.ts"
import { addon, type Found } from "./native.ts"

/**
 * Calls an operator: `call("aten::add.Tensor", x, y)`; `add.Tensor` means the same and `relu` is the overload without
 * a name. Arguments come in the order of the schema, keyword-only ones too; trailing ones may be left out, `undefined`
 * takes the default, and a last plain object names some: `call("sum.dim_IntList", x, [0], { keepdim: true })`.
 * Dtypes and devices are given as strings. In-place operators return the tensor they were given.
 *
 * @throws Error naming the operator, its schema and what it was given
 */
export function call(operator: string, ...args: unknown[]): unknown {
  const found = lookup(operator)
  return addon.call(found.id, ...positional(found, args))
}

/** Whether this libtorch has the operator: `hasOperator("scaled_dot_product_attention")` is false in 1.13. */
export function hasOperator(operator: string): boolean {
  const [base, overload] = split(operator)
  return refusal(base) === null && addon.find(base, overload) !== null
}

/** The names of all ATen operators of this libtorch: "aten::add.Tensor", ... */
export function operatorNames(): string[] {
  return addon.operatorNames().filter((name) => name.startsWith("aten::"))
}

/** What an operator takes and gives: "aten::relu(Tensor self) -> Tensor". */
export function schemaOf(operator: string): string {
  return lookup(operator).schema
}

/** An operator as a function, looked up at its first call. Faster than `call`; takes no named arguments. */
export function operator<Args extends unknown[], Result>(name: string): (...args: Args) => Result {
  let id = -1
  return (...args) => {
    if (id < 0) id = lookup(name).id
    return addon.call(id, ...args) as Result
  }
}

const known = new Map<string, Found>()

function lookup(name: string): Found {
  let found = known.get(name)
  if (!found) {
    const [base, overload] = split(name)
    const reason = refusal(base)
    if (reason) throw new Error(`${name}: this operator is refused; ${reason}`)
    found = addon.find(base, overload) ?? unknownOperator(name)
    known.set(name, found)
  }
  return found
}

/** "add.Tensor" -> ["aten::add", "Tensor"] */
function split(name: string): [base: string, overload: string] {
  const [base = "", ...overload] = name.split(".")
  return [base.includes("::") ? base : `aten::${base}`, overload.join(".")]
}

function positional(found: Found, args: unknown[]): unknown[] {
  const named = args.at(-1)
  if (!isPlainObject(named)) return args
  const result = args.slice(0, -1)
  for (const [name, value] of Object.entries(named)) {
    const index = found.parameters.indexOf(name)
    if (index < 0 || index < args.length - 1) {
      const what = index < 0 ? "has no argument" : "was given twice the argument"
      throw new Error(`${found.schema.split("(")[0]}: ${what} "${name}"\n  schema: ${found.schema}`)
    }
    result[index] = value
  }
  return result
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype
}

function unknownOperator(name: string): never {
  const [base] = split(name)
  const names = operatorNames()
  const overloads = names.filter((candidate) => candidate.split(".")[0] === base)
  const nearest = overloads.length > 0 ? overloads : closest(name, names)
  throw new Error(`${name}: this libtorch has no such operator; there are: ${nearest.join(", ")}`)
}

function closest(name: string, names: readonly string[]): string[] {
  const full = split(name).join(".")
  const scored = names.map((candidate) => ({ candidate, distance: editDistance(full, candidate) }))
  return scored
    .sort((a, b) => a.distance - b.distance)
    .slice(0, 5)
    .map(({ candidate }) => candidate)
}

// ----------------------------------------------------------------------------------------- operators that are refused

/**
 * Why an operator is refused ("aten::align_tensors"), or null when it may be called: libtorch itself crashes on wrong
 * arguments. The families are those in which `bench/torch-fuzz.ts` found crashes (libtorch 1.13 and 2.13); nothing that
 * trains or runs a model is among them.
 */
function refusal(operator: string): string | null {
  const name = operator.replace("aten::", "")
  if (unchecked.has(name)) return "libtorch does not check its arguments and can crash"
  if (name.startsWith("from_file")) return "it creates files, and a file that shrinks later ends the process"
  if (name.startsWith("_") && !name.startsWith("_foreach_")) return "internal: its public callers make the checks"
  if (/^(lstm|gru|rnn)(_|$)/.test(name)) return "libtorch does not check its lists of weights and can crash"
  if (/^(cudnn|miopen|mps)_/.test(name)) return "internal: the public operators choose the backend"
  if (/_backward(_|$)/.test(name)) return "internal: gradients come from backward() and grad()"
  if (/sparse|mkldnn|quant|fbgemm/.test(name)) return "only dense tensors of the listed dtypes are supported"
  return null
}

/** Public by name, without checks: null pointers at empty lists, divisions by zero at empty tensors. */
const unchecked = new Set([
  "align_tensors",
  "batch_norm_update_stats",
  "choose_qparams_optimized",
  "embedding_bag",
  "gradient",
  "histogramdd",
  "lu_unpack",
  "max_unpool2d",
  "max_unpool3d",
  "native_batch_norm",
  "native_channel_shuffle",
  "pixel_shuffle",
  "range",
  "rrelu_with_noise",
  "rrelu_with_noise_",
  "slow_conv3d",
  "slow_conv3d_forward",
  "thnn_conv2d",
])
