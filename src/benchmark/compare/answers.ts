/**
 * What a model answered in a task, answer by answer, as a run keeps it: `answers/<key>.npy`, int32 [answers, 2 + k] of label,
 * whether it counts as right, and the classes predicted first. Groups, where a metric needs them: `answers/<key>.groups.npy`,
 * int32 [answers].
 */
import { existsSync } from "node:fs"
import { join } from "node:path"
import { UserError } from "../../core/errors.ts"
import { readNpy } from "../../host/containers/npz.ts"
import { answersFile, groupsFile } from "../run/results-folder.ts"

export interface Answers {
  /** The right class; for retrieval a picture itself, or that of a caption; for associations the number of candidates. */
  readonly labels: Int32Array
  /** 1 where the main metric counts the answer as right. */
  readonly right: Uint8Array
  /** The class predicted first, or an association's Jaccard index in millionths; null where there is neither. */
  readonly predicted: Int32Array | null
  /** The group of each picture; null where none were kept. */
  readonly groups: Int32Array | null
}

/** Null where a run has none for the task. Throws UserError where a file is not what it should be. */
export async function readAnswers(folder: string, key: string): Promise<Answers | null> {
  const path = join(folder, answersFile(key))
  if (!existsSync(path)) return null
  const { dtype, shape, values } = await readNpy(path)
  const [count = 0, columns = 0] = shape
  if (dtype !== "I32" || shape.length !== 2 || columns < 2)
    throw new UserError(`${path} holds ${dtype} [${shape}], and answers are int32 [answers, 2 or more]`, again)
  const table = values as Int32Array
  requireNumbers(table, path)
  const column = (at: number) => Int32Array.from({ length: count }, (_, i) => table[i * columns + at]!)
  return {
    labels: column(0),
    right: Uint8Array.from(column(1), (value) => (value > 0 ? 1 : 0)),
    predicted: columns > 2 ? column(2) : null,
    groups: await readGroups(join(folder, groupsFile(key)), count),
  }
}

async function readGroups(path: string, answers: number): Promise<Int32Array | null> {
  if (!existsSync(path)) return null
  const { dtype, shape, values } = await readNpy(path)
  if (dtype !== "I32" || shape.length !== 1 || shape[0] !== answers)
    throw new UserError(`${path} holds ${dtype} [${shape}], and the groups of ${answers} answers were expected`, again)
  requireNumbers(values as Int32Array, path)
  return values as Int32Array
}

/** Classes, groups and pictures are counted in lists of this length; a Jaccard index has a million steps. */
const largestNumber = 1_000_000

function requireNumbers(values: Int32Array, path: string): void {
  const wrong = values.find((value) => value < -1 || value > largestNumber)
  if (wrong !== undefined)
    throw new UserError(`${path} holds ${wrong}, and numbers from -1 to ${largestNumber} were expected`, again)
}

const again = "delete the file, and evaluate the task again"
