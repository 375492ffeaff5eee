/** The self-test of `export/self-test.ts` in lines: values, independence of neighbours, latency. */
import type { Manifest } from "../core/inference/manifest.ts"
import { selfTest, type TowerSelfTestResult } from "../export/self-test.ts"
import type { TowerName } from "../export/towers.ts"
import { type Check, checksOf } from "./check.ts"

const { ok, warning, problem, failed } = checksOf("Model")

export async function selfTestChecks(directory: string, manifest: Manifest): Promise<Check[]> {
  const checks: Check[] = []
  const towers = manifest.towers.text ? (["image", "text"] as const) : (["image"] as const)
  for (const tower of towers) {
    try {
      const result = await selfTest(directory, tower, manifest)
      checks.push(...resultChecks(tower, result, manifest.verification.reference))
    } catch (error) {
      checks.push(failed(`${tower} self-test`, error))
    }
  }
  return checks
}

/** @param reference what the manifest's values came from */
export function resultChecks(tower: TowerName, result: TowerSelfTestResult, reference: string): Check[] {
  const { batchError, tolerance, milliseconds } = result
  const neighbours = tower === "image" ? "a picture's vector" : "a label's vector"
  const speed = `${milliseconds.toFixed(1)} ms for one (median, batch 1)`
  return [
    valuesCheck(tower, result, reference),
    batchError <= tolerance
      ? ok(`${tower} alone`, `PASS: ${neighbours} does not depend on others in the batch (${digits(batchError)})`, {
          facts: { tower, batchError },
        })
      : problem(`${tower} alone`, `FAIL: ${neighbours} changes by ${digits(batchError)} with others in the batch`, {
          fix: "texts must be padded with 0 to the whole context: export the model again",
          facts: { tower, batchError },
        }),
    ok(`${tower} latency`, speed, { facts: { tower, milliseconds } }),
  ]
}

function valuesCheck(tower: TowerName, { error, tolerance }: TowerSelfTestResult, reference: string): Check {
  const facts = { tower, error, tolerance }
  const name = `${tower} self-test`
  if (error === null) {
    const fix = "export the checkpoint again to have them"
    return warning(name, "runs, but the manifest has no values to compare with", { fix, facts })
  }
  if (error <= tolerance) return ok(name, `PASS: differs from ${reference} by ${digits(error)} at most`, { facts })
  const text = `FAIL: differs from ${reference} by ${digits(error)}; at most ${tolerance} is rounding`
  return problem(name, text, {
    fix: "these are not the weights of the manifest: copy or export the model again",
    facts,
  })
}

function digits(standardDeviations: number): string {
  return Number.isNaN(standardDeviations)
    ? "what is not a number"
    : `${standardDeviations.toExponential(1)} standard deviations`
}
