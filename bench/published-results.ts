/**
 * Writes src/evaluate/suite/published-results.ts from the result files that were published with the models
 * (apple/ml-mobileclip@4144bb1, `results/*.jsonl`):
 *
 *     npm run build && node dist/bench/published-results.js ml-mobileclip/results
 *
 * Main metrics are kept to the last digit, other metrics to six decimals; groups other than FMoW's regions are left out.
 */
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { findTask } from "../src/evaluate/suite/tasks.ts"

const models = {
  "MobileCLIP-S0": "mobileclip_s0",
  "MobileCLIP-S1": "mobileclip_s1",
  "MobileCLIP-S2": "mobileclip_s2",
  "MobileCLIP-B": "mobileclip_b",
  "MobileCLIP-B-LT": "mobileclip_b_lt",
  "MobileCLIP-S3": "mobileclip_s3",
  "MobileCLIP-S4": "mobileclip_s4",
  "MobileCLIP-L-14": "mobileclip_l14",
  "MobileCLIP2-S0": "mobileclip2_s0",
  "MobileCLIP2-S2": "mobileclip2_s2",
  "MobileCLIP2-B": "mobileclip2_b",
  "MobileCLIP2-S3": "mobileclip2_s3",
  "MobileCLIP2-S4": "mobileclip2_s4",
  "MobileCLIP2-L-14": "mobileclip2_l14",
}

interface Line {
  readonly key: string
  readonly metrics: Readonly<Record<string, number | null>>
}

const folder = process.argv[2]
if (folder === undefined) throw new Error("give the folder of the published result files")

const names = Object.keys(models)
const table = new Map<string, string[]>()
Object.values(models).forEach((file, model) => {
  for (const { key, metrics } of linesOf(join(folder, `${file}.jsonl`))) {
    for (const [metric, value] of Object.entries(metrics)) {
      if (!isKept(metric)) continue
      const row = table.get(`${key},${metric}`) ?? new Array<string>(names.length).fill("")
      table.set(`${key},${metric}`, row.with(model, written(key, metric, value)))
    }
  }
})
const rows = [...table].filter(([, values]) => values.some((value) => value !== ""))
const text = [`key,metric,${names.join(",")}`, ...rows.map(([name, values]) => `${name},${values.join(",")}`)].join(
  "\n",
)
writeFileSync(
  "src/evaluate/suite/published-results.ts",
  `/**
 * What the 14 released models scored (apple/ml-mobileclip@4144bb1, \`results/*.jsonl\`): a line for each metric, empty where a
 * model has none. Written by bench/published-results.ts; not to be edited.
 */
export const publishedTable = \`${text}\n\`
`,
)

/** The files are JSON but for NaN. */
function linesOf(file: string): Line[] {
  const lines = readFileSync(file, "utf8").trim().split("\n")
  return lines.map((line) => JSON.parse(line.replaceAll(/\bNaN\b/g, "null")) as Line)
}

function isKept(metric: string): boolean {
  return metric !== "main_metric" && (!/^count_|:/.test(metric) || /^(acc|count)_region:/.test(metric))
}

function written(key: string, metric: string, value: number | null): string {
  if (value === null) return ""
  const task = findTask(key)
  const isMain = metric === task?.mainMetric || (key === "wilds/fmow" && metric.startsWith("acc_region"))
  return String(isMain ? value : Number(value.toFixed(6)))
}
