/**
 * How many operations an operator needs, by what it took: two for a multiply-add, as `src/tensor/cost.ts` counts them.
 *
 * N batch, L tokens, D width, C channels, O filters, H and W of a picture, K rows and columns of a kernel.
 */

/** A shape or a list of numbers, a number, or what is neither. */
export type Argument = readonly number[] | number | null

type Args = readonly Argument[]

/** `"[8, 3, 64, 64] 1 -"` -> `[[8, 3, 64, 64], 1, null]`: the text of a trace. */
export function parseArguments(text: string): Argument[] {
  return [...text.matchAll(/\[([^\]]*)\]|(\S+)/g)].map(([, list, word]) => {
    if (list !== undefined) return list.trim() === "" ? [] : list.split(",").map(Number)
    const value = Number(word)
    return Number.isNaN(value) ? null : value
  })
}

/** Empty for what is not one. */
export function shape(argument: Argument | undefined): readonly number[] {
  return Array.isArray(argument) ? argument : []
}

const count = (dims: readonly number[]) => dims.reduce((product, dim) => product * dim, 1)

/** [..., in], [out, in] */
export function linear([x, weight]: Args): number {
  return 2 * count(shape(x)) * (shape(weight)[0] ?? 0)
}

/** [..., m, k], [..., k, n] */
export function product([left, right]: Args): number {
  const [a, b] = [shape(left), shape(right)]
  if (a.length < 2 || b.length < 2) return 2 * Math.max(count(a), count(b))
  const batch = Math.max(count(a.slice(0, -2)), count(b.slice(0, -2)))
  return 2 * batch * count(a.slice(-2)) * b.at(-1)!
}

/** A sum, and two factors. */
export function sumAndProduct([, ...factors]: Args): number {
  return product(factors)
}

/** [N, C, H, W], [O, C / groups, K, K], bias, stride, padding, dilation, groups; a kernel's own call has them in another order. */
export function convolution([x, weight, , stride, padding, dilation]: Args): number {
  return windows(shape(x), shape(weight), { stride, padding, dilation })
}

/** [N, C, H, W], [C, 1, K, K], stride, [before, after] */
export function depthwise([x, weight, stride, padding]: Args): number {
  const [before = 0, after = before] = shape(padding)
  return windows(shape(x), shape(weight), { stride, padding: (before + after) / 2 })
}

interface Windows {
  readonly stride: Argument | undefined
  readonly padding: Argument | undefined
  readonly dilation?: Argument | undefined
}

function windows(x: readonly number[], weight: readonly number[], { stride, padding, dilation = 1 }: Windows): number {
  const at = (argument: Argument | undefined, axis: number, absent: number) =>
    typeof argument === "number" ? argument : (shape(argument)[axis] ?? shape(argument)[0] ?? absent)
  const places = [0, 1].map((axis) => {
    const reach = at(dilation, axis, 1) * (weight[axis + 2]! - 1) + 1
    return Math.floor((x[axis + 2]! + 2 * at(padding, axis, 0) - reach) / at(stride, axis, 1)) + 1
  })
  return 2 * x[0]! * count(weight) * count(places)
}

/** Gradient [N, O, H, W], input, weight, ..., which of the gradients are wanted: of the input, the weight, the bias. */
export function convolutionBackward(args: Args): number {
  const [gradient, , weight] = args.map(shape) as [readonly number[], readonly number[], readonly number[]]
  const [input = 1, filters = 1] = shape(args.at(-1))
  return (input + filters) * 2 * count(gradient) * count(weight.slice(1))
}

/** [N, L, D], keys, values: scores, and their use. */
export function attention([query, key]: Args): number {
  return 4 * count(shape(query)) * (shape(key)[1] ?? 0)
}

/** [N, L, 3D]: queries, keys and values side by side. */
export function selfAttention([x]: Args): number {
  return (4 / 3) * count(shape(x)) * (shape(x)[1] ?? 0)
}

/** [N, heads, L, D], keys, values */
export function headAttention([query, key]: Args): number {
  return 4 * count(shape(query)) * (shape(key).at(-2) ?? 0)
}

/** Gradient, query, key, value: four products; that the scores are made again is not counted. */
export function attentionBackward([, ...forward]: Args): number {
  return 2 * headAttention(forward)
}
