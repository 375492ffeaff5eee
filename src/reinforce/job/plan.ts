/**
 * Which shard becomes which: every input has one output whose name depends on the list of inputs alone, so a shard that
 * is made again replaces itself.
 */
import { UserError } from "../../core/errors.ts"
import { requireInside } from "../../core/inside.ts"
import type { SampleFormat } from "../../data/reinforced/encode.ts"
import type { ShardTask } from "../runner.ts"
import { joinUrl, requireOutput } from "./output.ts"

/** `orig` keeps the names of the inputs, `count` numbers them in their order. */
export const shardNameFormats = ["orig", "count"] as const

export type ShardNameFormat = (typeof shardNameFormats)[number]

const inputExtension = /\.(tar|jsonl|json|tar\.gz|tgz|jsonl\.gz|jsonl\.zst|jsonl\.zstd)$/i

/**
 * One task for each input, in order, whose output stays in that folder. Throws UserError where a name leads out of it or is kept
 * for the job's records, two inputs are one file, or an output would replace an input.
 */
export function planShards(
  inputs: readonly string[],
  output: string,
  format: Pick<SampleFormat, "output">,
  names: ShardNameFormat = "orig",
): ShardTask[] {
  requireDistinct(inputs)
  const stems = names === "count" ? inputs.map((_, i) => String(i).padStart(8, "0")) : originalStems(inputs)
  const extension = format.output === "jsonl" ? "jsonl" : "tar"
  const tasks = inputs.map((input, index) => {
    const name = requireInside(`${stems[index]}.${extension}`, `the output of ${input}`, numbersInstead)
    const task = { index, input, output: joinUrl(output, name) }
    requireOutput(task.output, output, numbersInstead)
    return task
  })
  const read = new Set(inputs)
  const replaced = tasks.find((task) => read.has(task.output))
  if (replaced) {
    throw new UserError(`${replaced.output} would be both read and written`, "choose another folder for --output")
  }
  return tasks
}

const numbersInstead = "--output-shard-name-format count numbers them instead"

function requireDistinct(inputs: readonly string[]): void {
  const twice = firstRepeated(inputs)
  if (twice !== undefined) throw new UserError(`${twice} is named twice`, "name each shard once")
}

/** The first name that came before. */
function firstRepeated(names: readonly string[]): string | undefined {
  const seen = new Set<string>()
  return names.find((name) => seen.size === seen.add(name).size)
}

/** Base names; where those are not distinct, as in `00/0001.tar` and `01/0001.tar`, with the folders that differ. */
function originalStems(inputs: readonly string[]): string[] {
  const paths = inputs.map((input) => input.replace(/[?#].*$/, "").replace(inputExtension, ""))
  const bases = paths.map((path) => path.slice(path.lastIndexOf("/") + 1))
  if (new Set(bases).size === bases.length) return bases
  const stems = withoutCommonFolder(paths)
  const twice = firstRepeated(stems)
  if (twice === undefined) return stems
  throw new UserError(`two shards are called ${twice}`, numbersInstead)
}

function withoutCommonFolder(paths: readonly string[]): string[] {
  const parts = paths.map((path) => path.split("/").filter((part) => part !== "" && part !== "."))
  const [first] = parts as [string[]]
  let common = 0
  while (parts.every((part) => part.length > common + 1 && part[common] === first[common])) common++
  return parts.map((part) => part.slice(common).join("/"))
}
