/** All that `mobileclip doctor` looks at, in order, as it is found. */
import type { Check } from "./check.ts"
import { hubChecks } from "./hub.ts"
import { libtorchChecks } from "./libtorch.ts"
import { modelChecks } from "./model.ts"
import { onnxRuntimeChecks } from "./onnxruntime.ts"
import { pictureChecks } from "./pictures.ts"
import { systemChecks } from "./system.ts"

/** @param model a model directory or a checkpoint */
export async function* examine(model?: string): AsyncGenerator<Check> {
  yield* systemChecks()
  yield* onnxRuntimeChecks()
  yield* await libtorchChecks()
  yield* await pictureChecks()
  yield* await hubChecks()
  if (model !== undefined) yield* await modelChecks(model)
}
