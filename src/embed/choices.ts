/** What was chosen for a command, in lines for people: which model, on what it computes, and how pictures are read. */
import { quoted } from "../core/errors.ts"
import type { Preprocessing } from "../core/image/preprocess.ts"
import type { Manifest } from "../core/inference/manifest.ts"
import { decodersHere } from "../host/image/images.ts"
import { usableProcessors } from "../host/processors.ts"
import type { PictureReading } from "../pictures/reading.ts"
import type { Captioner, CaptionerModel } from "../run/caption/captioner.ts"
import type { LabelVectors } from "../run/labels/label-vectors.ts"
import type { LoadOptions } from "../run/load-options.ts"
import type { Model } from "../run/model.ts"
import { runtimeName } from "../run/session.ts"

/** @param given what the user calls it */
export function modelChoice(given: string, model: Model, options: Pick<LoadOptions, "threads" | "provider">): string {
  const { name, embedDim, logitScale, manifest } = model
  return [
    `model ${given}: ${name}, ${runtimeName()} on ${options.provider ?? "cpu"}, ${threadsChoice(options.threads)}`,
    manifest ? `weights in ${manifest.dtype}` : "weights as the files have them",
    preprocessingText(model.preprocessing),
    `${embedDim} values a vector`,
    logitScale === null
      ? "scale of the softmax 100, for no file says it"
      : `scale of the softmax ${+logitScale.toFixed(2)}`,
    ...(manifest ? [`licence ${manifest.license}`] : []),
  ].join("; ")
}

export function captionerChoice(
  { manifest: { name, dtype, preprocessing, license } }: Captioner<Manifest & CaptionerModel>,
  { threads }: Pick<LoadOptions, "threads">,
): string {
  const runs = `${runtimeName()} on cpu, ${threadsChoice(threads)}`
  return `model: ${name}, ${runs}; weights in ${dtype}; ${preprocessingText(preprocessing)}; licence ${license}`
}

export function threadsChoice(threads: number | undefined): string {
  const { count, reason } = usableProcessors()
  const used = threads ?? count
  const text = `${used} ${used === 1 ? "thread" : "threads"}`
  return threads === undefined ? `${text} (${reason})` : `${text}, as asked for (${reason})`
}

export function preprocessingText({ size, interpolation }: Preprocessing): string {
  return `pictures of ${size} x ${size} pixels, ${interpolation}`
}

export function readingChoice({ orientation, decode }: PictureReading): string {
  const turned =
    orientation === "apply" ? "turned as the camera noted" : "not turned by what the camera noted, as in training"
  const decoded = decode === "fast" ? "large JPEG files are made smaller by the decoder" : "every pixel is decoded"
  return `pictures: ${turned}; ${decoded}; ${decodersHere()}`
}

export function labelsChoice({ labels, templates, model }: LabelVectors, file?: string): string {
  const [first, ...rest] = templates
  const prompts = rest.length === 0 ? `as ${quoted(first!)}` : `in ${templates.length} templates, averaged`
  return file === undefined
    ? `labels: ${labels.length} ${prompts}`
    : `labels: ${labels.length} ${prompts}, from ${file}, made by ${model}; the text tower is not read`
}
