/**
 * Tests a model directory without the model it came from: the fixed inputs of `run/self-test.ts` go through its towers, and
 * the results are compared with the reference's in the manifest.
 */
import { join } from "node:path"
import { median } from "../core/arrays/quantile.ts"
import { messageOf, UserError } from "../core/errors.ts"
import type { Manifest, TowerFile, TowerSelfTest } from "../core/inference/manifest.ts"
import { dtypeOfPart } from "../core/precision.ts"
import type { Graph } from "../run/graph.ts"
import { embed, fixedInput, selfTestRows, standardDeviation, type TowerInput } from "../run/self-test.ts"
import { OnnxGraph, sessionOptions } from "../run/session.ts"
import type { TowerName } from "./towers.ts"
import { maxDifference, toleranceOf } from "./verify.ts"

/** Differences are in standard deviations of the embeddings. */
export interface TowerSelfTestResult {
  /** From what the manifest expects; null where it expects nothing. */
  readonly error: number | null
  /** Between the first input alone and among two others: what padding that depends on neighbours would show. */
  readonly batchError: number
  /** The largest difference that is rounding. */
  readonly tolerance: number
  /** For one input: the median of several runs on all processors. */
  readonly milliseconds: number
}

const RUNS = 5

/** Throws UserError when the tower cannot be loaded or run, or gives embeddings of another width. */
export async function selfTest(directory: string, tower: TowerName, manifest: Manifest): Promise<TowerSelfTestResult> {
  const file = manifest.towers[tower]
  if (!file) throw new UserError(`${directory} has no ${tower} tower`)
  const graph = new OnnxGraph(directory, file.file, sessionOptions({}))
  try {
    return await testGraph(graph, file, tower, manifest)
  } catch (error) {
    const message = `${join(directory, file.file)} does not run: ${messageOf(error)}`
    throw new UserError(message, "copy or export the model again", { cause: error })
  } finally {
    await graph.release()
  }
}

async function testGraph(
  graph: Graph,
  file: TowerFile,
  tower: TowerName,
  { embedDim, contextLength, preprocessing, verification, selfTest, dtype }: Manifest,
): Promise<TowerSelfTestResult> {
  const sizes = { imageSize: preprocessing.size, contextLength: contextLength ?? 0 }
  const one = fixedInput(tower, sizes, 1)
  const rows = await embed(graph, file, fixedInput(tower, sizes, selfTestRows))
  if (rows.length !== selfTestRows * embedDim) {
    throw new UserError(`its embeddings have ${rows.length / selfTestRows} values, and the manifest says ${embedDim}`)
  }
  const alone = await embed(graph, file, one)
  const expected = selfTest?.[tower]
  return {
    error: expected ? differenceFrom(expected, rows, embedDim) : null,
    batchError: maxDifference(alone, rows) / standardDeviation(rows),
    // The towers may differ from the reference by the one, this machine from the exporting one by the other.
    tolerance: 2 * (dtype === "mixed" ? toleranceOf(dtypeOfPart(dtype, tower)) : verification.tolerance),
    milliseconds: await medianTime(graph, file, one),
  }
}

/** The largest difference of the kept values, and of the norms per value. NaN where a value is NaN. */
function differenceFrom(expected: TowerSelfTest, rows: Float32Array, width: number): number {
  const differences = expected.values.flatMap((values, i) => {
    const row = rows.subarray(i * width, (i + 1) * width)
    const norm = Math.abs(Math.hypot(...row) - expected.norms[i]!) / Math.sqrt(width)
    return [norm, ...values.map((value, k) => Math.abs(row[k]! - value))]
  })
  return Math.max(...differences) / expected.standardDeviation
}

async function medianTime(graph: Graph, file: TowerFile, input: TowerInput): Promise<number> {
  const times: number[] = []
  for (let run = 0; run < RUNS; run++) {
    const start = performance.now()
    await embed(graph, file, input)
    times.push(performance.now() - start)
  }
  return median(times)
}
