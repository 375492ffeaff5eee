/** What the files beside two towers say of them, whatever the layout. */
import { z } from "zod"
import { UserError } from "../../core/errors.ts"
import { longestSequence, longestSide, widestVector } from "../../core/family/size-limits.ts"
import type { Preprocessing } from "../../core/image/preprocess.ts"

export interface ClipDescription {
  readonly name: string
  readonly preprocessing: Preprocessing
  /** Null where no file says; a graph may. */
  readonly contextLength: number | null
  readonly embedDim: number | null
  /** What texts are padded with; null where no file says. */
  readonly padding: number | null
  readonly image: Names
  readonly text: Names
}

/** Of the input and the output that matter. */
export interface Names {
  readonly input: string
  readonly output: string
}

const count = z.int().positive()
/** Of a picture, in pixels; of an embedding; of a text, in tokens. */
export const side = count.max(longestSide)
export const width = count.max(widestVector)
export const length = count.max(longestSequence)
export const perChannel = z.tuple([z.number(), z.number(), z.number()])

/** A number, or a square. */
export const square = z.union([
  side.transform((size) => [size, size] as const),
  z.tuple([side, side]),
  z.object({ height: side, width: side }).transform(({ height, width }) => [height, width] as const),
])

/** Throws UserError naming the file and the field. */
export function parsed<T>(schema: z.ZodType<T>, value: unknown, where: string): T {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const { path, message } = result.error.issues[0]!
  throw new UserError(
    `${where}: ${path.join(".") || "it"}: ${message}`,
    "a teacher's preprocessing and sizes are never guessed: complete the file",
  )
}

/** The one value of those that are known. Throws UserError when they differ. */
export function agreed(what: string, values: Readonly<Record<string, number | null | undefined>>): number | null {
  const known = Object.entries(values).filter((entry): entry is [string, number] => entry[1] != null)
  if (new Set(known.map(([, value]) => value)).size < 2) return known[0]?.[1] ?? null
  throw new UserError(
    `${what}: ${known.map(([source, value]) => `${source} says ${value}`).join(", ")}`,
    "these files are of different models",
  )
}
