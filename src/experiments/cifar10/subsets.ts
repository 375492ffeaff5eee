/**
 * Data efficiency: the same students on fewer different pictures, at equal samples seen, so that each picture is seen more
 * often. A subset is the first pictures of the students' data, classes in turn, with the captions and the stored knowledge that
 * they have there.
 */
import { join } from "node:path"
import { expandShards } from "../../data/expand.ts"
import { readShard, type Sample, writeShard } from "../../data/shards.ts"
import type { LearningCurve } from "../../evaluate/efficiency.ts"
import { makeDirectory } from "../../host/files/files.ts"
import { compareStudents, type StudentComparison } from "../comparison/students.ts"
import type { ModelsContext } from "../comparison/train-models.ts"

/** Shares of the pictures, besides all of them. */
const subsetShares = [1 / 16, 1 / 4] as const

export interface SubsetResults {
  /** Different pictures. */
  readonly unique: number
  /** A curve for each seed. */
  readonly plain: readonly LearningCurve[]
  readonly reinforced: readonly LearningCurve[]
  /** Seconds of training before this process. */
  readonly earlierSeconds: number
}

/**
 * @param comparison that of all pictures: its shards are what subsets are taken of
 * @param unique how many pictures it has
 * @param folder where the subsets' shards are written
 */
export async function compareSubsets(
  comparison: StudentComparison,
  unique: number,
  folder: string,
  context: ModelsContext,
): Promise<SubsetResults[]> {
  const results: SubsetResults[] = []
  for (const share of subsetShares) {
    const count = Math.ceil(share * unique)
    const { plain, reinforced } = await writeSubset(comparison, count, join(folder, String(count)))
    const { earlierSeconds, ...students } = await compareStudents(
      {
        ...comparison,
        directory: join(comparison.directory, `of-${count}-pictures`),
        scheduled: [],
        plain: { ...comparison.plain, source: plain },
        reinforced: { ...comparison.reinforced, source: reinforced },
      },
      context,
    )
    results.push({ unique: count, plain: students.plain, reinforced: students.reinforced, earlierSeconds })
  }
  return results
}

/** Both kinds' shards of the first `count` pictures: by their keys, because reinforcement may have left some out. */
async function writeSubset({ plain, reinforced }: StudentComparison, count: number, folder: string) {
  const keys = new Set<string>()
  for await (const { key } of samplesOf(plain.source)) {
    if (keys.size === count) break
    keys.add(key)
  }
  await makeDirectory(folder)
  const paths = { plain: join(folder, "careless.tar"), reinforced: join(folder, "reinforced.tar") }
  await writeShard(paths.plain, withKeys(plain.source, keys))
  await writeShard(paths.reinforced, withKeys(reinforced.source, keys))
  return paths
}

async function* withKeys(shards: string, keys: ReadonlySet<string>): AsyncGenerator<Sample> {
  for await (const sample of samplesOf(shards)) if (keys.has(sample.key)) yield sample
}

async function* samplesOf(shards: string): AsyncGenerator<Sample> {
  for (const shard of await expandShards(shards)) yield* readShard(shard)
}
