/** ONNX Runtime: its version, and which execution providers compute a small graph rightly here. */
import "../host/no-telemetry.ts"

import { createRequire } from "node:module"
import { messageOf } from "../core/errors.ts"
import { inChild, type Outcome } from "../host/child.ts"
import { traceOnnx } from "../tensor/onnx.ts"
import { Parameter } from "../tensor/parameter.ts"
import { type Check, checksOf } from "./check.ts"

const { ok, absent, warning, problem } = checksOf("ONNX Runtime")

export const reinstall = "install again: remove node_modules, then npm install"

export async function* onnxRuntimeChecks(): AsyncGenerator<Check> {
  const ort = await import("onnxruntime-node").catch((error: unknown) => messageOf(error))
  if (typeof ort === "string") {
    yield problem("onnxruntime-node", `cannot be loaded: ${ort}`, { fix: reinstall })
    return
  }
  const version = ort.env.versions.node
  yield ok("onnxruntime-node", `${version}`, { facts: { version } })
  for (const { name, bundled } of ort.listSupportedBackends())
    yield providerCheck(name, bundled, await tryProvider(name))
}

/** The processor must work; what else there is depends on devices and drivers. */
export function providerCheck(name: string, bundled: boolean, outcome: Outcome<readonly number[]>): Check {
  const works =
    outcome.ok && outcome.value.length === CHANNELS && outcome.value.every((y) => Math.abs(y - EXPECTED) < 0.05)
  const facts = { provider: name, bundled, works }
  if (works) return ok(name, "computes", { facts })
  const reason = outcome.ok
    ? `computes wrongly: ${outcome.value.join(" ")} instead of ${EXPECTED}`
    : outcome.reason.replace(sourceLine, "")
  if (name === "cpu") return problem(name, reason, { fix: reinstall, facts })
  const fix = bundled
    ? "needs a device and its driver; everything runs on the processor without it"
    : "its library does not come with the package; everything runs on the processor without it"
  // A provider that computes, and wrongly, is here.
  if (outcome.ok) return warning(name, `cannot be used: ${reason}`, { fix, facts })
  return absent(name, `cannot be used: ${reason}`, { fix, facts })
}

/** Before its own message ONNX Runtime puts the file, the function and the condition that failed. */
const sourceLine = /^\S*onnxruntime\S+:\d+ .*? was false\. /

/** 27 products of 1 and 0.5, and all pixels are equal. */
const EXPECTED = 13.5
const CHANNELS = 4

async function tryProvider(name: string): Promise<Outcome<readonly number[]>> {
  const body = `const ort = require(args[0])
    const options = { executionProviders: [args[1]], logSeverityLevel: 4 }
    const session = await ort.InferenceSession.create(require("node:fs").readFileSync(0), options)
    const x = new ort.Tensor("float32", new Float32Array(3 * 8 * 8).fill(1), [1, 3, 8, 8])
    return [...(await session.run({ x })).y.data]`
  const library = createRequire(import.meta.url).resolve("onnxruntime-node")
  return inChild(body, { args: [library, name], input: tinyGraph() })
}

/** [N, 3, 8, 8] -> [N, 4]: a convolution, its positive part, the mean of each channel. */
function tinyGraph(): Uint8Array {
  const weight = new Parameter([CHANNELS, 3, 3, 3], { kind: "constant", value: 0.5 })
  weight.source = () => new Float32Array(weight.size).fill(0.5)
  const inputs = { x: { dtype: "float32", shape: [-1, 3, 8, 8] } } as const
  const geometry = { stride: 1, padding: [0, 0], groups: 1 } as const
  const model = traceOnnx({ name: "probe", parameters: new Map([["probe.weight", weight]]), inputs }, (x) => ({
    y: x!.conv2d(weight, null, geometry).relu().mean([2, 3]),
  }))
  return Buffer.concat([...model.chunks()])
}
