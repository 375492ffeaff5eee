/**
 * All checks that need a GPU, one after the other, in under ten minutes:
 *
 *     node dist/bench/cuda-proof.js [--golden test/golden] [--python python3] [--parts golden,embed] [--out cuda-proof.json]
 *         [--json] [--device cpu --tiny]
 *
 * Golden data on CUDA; MobileCLIP2-B and S2 in bf16, 1,024 pairs in chunks of 256, beside open_clip's eager trainer with
 * channels-last and cuDNN's choice by times; float16; B's share of the card's measured bf16 peak; a CUDA graph; AdamW;
 * `reinforce embed` beside its teacher. One table has each figure with its goal; after each part `--out` is written anew, so
 * that a machine that goes away loses that part alone. A part that fails, or takes longer than it may, is named, and the others
 * are run. `--device cpu --tiny` runs all of it with tiny models: whether it works, not how fast.
 *
 * What a machine with a GPU needs: this package built (`npm run build`) against a libtorch with CUDA, for example PyTorch's
 * wheel (`pip install torch`); for CUDA graphs and NCCL also the packages nvidia-cuda-crt and nvidia-cuda-cccl of its CUDA, before the build. For
 * open_clip's figures, `PYTHONPATH=.../open_clip/src` with a checkout of its main branch, and torchvision and timm. What is
 * built and checked elsewhere can be copied: dist/, node_modules/, torch/build/, jpeg/build/, bench/pytorch/ and test/golden/, where
 * libtorch lies at the same path. Exits 1 where a goal is missed or a part failed.
 */
import { parseArgs } from "node:util"
import { UserError } from "../src/core/errors.ts"
import { writeAtomically } from "../src/host/files/files.ts"
import { checkDevice } from "../src/tensor/torch.ts"
import { type Part, type ProofOptions, partsOf } from "./cuda/parts.ts"
import { isShort, type PartReport, runParts } from "./cuda/run-parts.ts"

const { values } = parseArgs({
  options: {
    golden: { type: "string", default: "test/golden" },
    python: { type: "string", default: "python3" },
    parts: { type: "string" },
    out: { type: "string", default: "cuda-proof.json" },
    device: { type: "string", default: "cuda" },
    tiny: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
})
/** Seconds of all parts together. */
const longest = 580

async function main(): Promise<void> {
  checkDevice(values.device)
  const { golden, python, tiny, device } = values
  const parts = chosen(partsOf({ golden, python, tiny, device: device as ProofOptions["device"] }))
  const reports = await runParts(parts, longest, async (soFar) => {
    await writeAtomically(values.out, `${JSON.stringify({ device, tiny, reports: soFar }, null, 2)}\n`)
    if (!values.json) console.log(describe(soFar.at(-1)!))
  })
  if (values.json) console.log(JSON.stringify({ device, tiny, reports }))
  if (reports.some(isShort)) process.exitCode = 1
}

function chosen(parts: readonly Part[]): readonly Part[] {
  const wanted = values.parts?.split(",")
  const unknown = wanted?.find((word) => !parts.some(({ name }) => name.includes(word)))
  if (unknown !== undefined) {
    throw new UserError(
      `--parts: no part is called "${unknown}"`,
      `there are: ${parts.map(({ name }) => name).join("; ")}`,
    )
  }
  return wanted ? parts.filter(({ name }) => wanted.some((word) => name.includes(word))) : parts
}

function describe({ part, seconds, results, failure }: PartReport): string {
  const head = `${part} (${seconds.toFixed(0)} s)`
  if (failure !== undefined) return `${head}\n  FAILED: ${failure}`
  return [head, ...results.map((result) => `  ${lineOf(result)}`)].join("\n")
}

function lineOf({ what, value, unit = "", goal, isReached }: PartReport["results"][number]): string {
  const figure = typeof value === "number" ? `${Number(value.toPrecision(4))} ${unit}`.trim() : value
  const wanted = goal && ("atLeast" in goal ? `goal: at least ${goal.atLeast}` : `goal: at most ${goal.atMost}`)
  return [what.padEnd(48), figure.padEnd(16), wanted && `${wanted}, ${isReached ? "reached" : "MISSED"}`]
    .filter(Boolean)
    .join(" ")
}

await main()
