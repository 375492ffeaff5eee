/** What is installed here and whether it works, and whether a model computes what it should: all checks in order, as they are made. */
import { messageOf } from "../core/errors.ts"
import { type Check, checksOf } from "./check.ts"
import { hubChecks } from "./hub.ts"
import { libtorchChecks } from "./libtorch.ts"
import { modelChecks } from "./model.ts"
import { onnxRuntimeChecks, reinstall } from "./onnxruntime.ts"
import { searchChecks } from "./search.ts"
import { systemChecks } from "./system.ts"

const { ok, problem } = checksOf("Pictures")

/** @param model a model on this machine, whatever a user calls it */
export async function* examine(model?: string): AsyncGenerator<Check> {
  yield* systemChecks()
  yield* onnxRuntimeChecks()
  yield* await libtorchChecks()
  yield* await pictureChecks()
  yield* await searchChecks()
  yield* await hubChecks()
  if (model !== undefined) yield* await modelChecks(model)
}

/** sharp and libvips: whether a picture that was written is read as it was. */
async function pictureChecks(): Promise<Check[]> {
  try {
    const { default: sharp } = await import("sharp")
    const { decodeImage } = await import("../host/image/images.ts")
    const { sharp: version, vips } = sharp.versions
    const raw = { width: 2, height: 1, channels: 3 } as const
    const picture = await sharp(Uint8Array.of(255, 0, 0, 1, 2, 3), { raw })
      .png()
      .toBuffer()
    const { data } = await decodeImage(picture)
    const facts = { sharp: version, libvips: vips }
    if (data.join() === "255,0,0,1,2,3") return [ok("sharp", `${version} with libvips ${vips}, decodes`, { facts })]
    return [problem("sharp", `${version} with libvips ${vips} decodes wrongly`, { fix: reinstall, facts })]
  } catch (error) {
    return [problem("sharp", `does not work: ${messageOf(error)}`, { fix: reinstall })]
  }
}
