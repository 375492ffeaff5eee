/** One member of the family in full, as lines of text. */
import type { PublishedAccuracy } from "../../core/family/published.ts"
import type { Member, TowerFigures } from "../../train/plan/family.ts"
import { textTable } from "../table.ts"
import { footnotes } from "./table.ts"
import { billions, mebibytes } from "./units.ts"

export function memberText(member: Member): string {
  const { name, image, text, imageSize, embedDim, contextLength, causal, preprocessing } = member
  const { megabytes, licenses, releases, recommendedFor } = member
  const { interpolation, mean, std } = preprocessing
  const facts = [
    ["input", `${imageSize} x ${imageSize} pixels; ${contextLength} tokens, ${causal ? "causal" : "not causal"}`],
    ["embedding", `${embedDim} values`],
    ["weights", `${megabytes.fp32.toFixed(0)} MB in fp32, ${megabytes.fp16.toFixed(0)} MB in fp16, converted`],
    ["licence", licenses.length > 0 ? `of the released weights: ${licenses.join(", or ")}` : "nothing is released"],
    ...(releases.length > 0 ? [["released as", releases.join(", ")]] : []),
    ...(recommendedFor === null ? [] : [["choose it for", recommendedFor]]),
    [
      "preprocessing",
      `shorter side to ${imageSize} (${interpolation}), center crop, mean ${mean.join(" ")}, std ${std.join(" ")}`,
    ],
    ...publishedFacts(member),
  ]
  const sections = [name, towersTable(image, text), textTable([{ title: "" }, { title: "" }], facts).trimStart()]
  return [...sections, footnotes([member])].filter(Boolean).join("\n\n")
}

function towersTable(image: TowerFigures, text: TowerFigures): string {
  const row = (title: string, value: (tower: TowerFigures) => string) => [title, value(image), value(text)]
  return textTable(
    [{ title: "" }, { title: "image", align: "right" }, { title: "text", align: "right" }],
    [
      row("tower", ({ name }) => name),
      row("parameters in training", ({ parameters }) => parameters.train.toLocaleString("en")),
      row("parameters, fused", ({ parameters }) => parameters.fused.toLocaleString("en")),
      row("multiply-adds, G", ({ multiplyAdds }) => billions(multiplyAdds)),
      row("attention's products, G", ({ attentionMultiplyAdds }) => billions(attentionMultiplyAdds)),
      row("activations, MiB", ({ activationBytes }) => mebibytes(activationBytes)),
    ],
  )
}

function publishedFacts({ published, accuracies }: Member): string[][] {
  if (!published && accuracies.length === 0) return [["published", "nothing"]]
  if (!published) return accuracies.flatMap(accuracyFacts)
  const { imagenet, average38, latency, parameters, samplesSeen } = published
  return [
    ["ImageNet-1k", `${imagenet.value} % zero-shot top-1 (published, ${imagenet.source})`],
    ["38 datasets", `${average38.value} % on average (published, ${average38.source})`],
    ["latency", `${latency.image} + ${latency.text} ms, iPhone 12 Pro Max (published, ${latency.source})`],
    ["parameters", `${parameters.image} + ${parameters.text} M (published, ${parameters.source})`],
    ["samples seen", `${samplesSeen.value} billion (published, ${samplesSeen.source})`],
  ]
}

/** Source: open_clip's table of results. */
function accuracyFacts({ weights, imagenet, average38 }: PublishedAccuracy): string[][] {
  return [
    ["ImageNet-1k", `${imagenet} % zero-shot top-1 (published by open_clip, weights of ${weights})`],
    ["38 datasets", `${average38} % on average (published by open_clip, weights of ${weights})`],
  ]
}
