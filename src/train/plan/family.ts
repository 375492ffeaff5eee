/** The members of the family in figures: those counted from the modules, in all or layer by layer, and those published. */

import { accuraciesOf, type PublishedAccuracy, type PublishedFigures, published } from "../../core/family/published.ts"
import { type ClipConfig, imageTowers, textTowers, type VariantName, variants } from "../../core/family/variants.ts"
import type { Preprocessing } from "../../core/image/preprocess.ts"
import type { OnnxDtype } from "../../core/precision.ts"
import { partCost } from "../../export/part-cost.ts"
import type { TowerName } from "../../export/towers.ts"
import { released } from "../../hub/released.ts"
import { Clip } from "../../model/clip.ts"
import { reparameterize } from "../../model/reparameterize.ts"
import type { CostReport, LayerCost } from "../../tensor/cost.ts"
import { megabytesOf, recommendedFor, usesOf } from "../../weights/release-figures.ts"

export type Form = "train" | "fused"

export interface TowerFigures {
  /** As in the tables of `core/family/variants.ts`: "mci0", "base". */
  readonly name: string
  /** Learned values. */
  readonly parameters: Readonly<Record<Form, number>>
  /** Multiply-adds of convolutions and linear layers of the fused tower at batch 1. */
  readonly multiplyAdds: number
  /** Multiply-adds of attention's two products. */
  readonly attentionMultiplyAdds: number
  /** Bytes of the float32 results of all operations of the fused tower at batch 1. */
  readonly activationBytes: number
}

export interface Member {
  readonly name: VariantName
  readonly image: TowerFigures
  readonly text: TowerFigures
  /** Height and width of the input in pixels. */
  readonly imageSize: number
  readonly embedDim: number
  readonly contextLength: number
  /** Whether a token of the text sees only those before it. */
  readonly causal: boolean
  readonly preprocessing: Preprocessing
  /** Size of the fused towers' weights, in millions of bytes. */
  readonly megabytes: Readonly<Record<OnnxDtype, number>>
  /** What the licences of its released weights allow, in words; none where none are released. */
  readonly licenses: readonly string[]
  /** What it is the first choice for; null for most. */
  readonly recommendedFor: string | null
  /** Names that `pull` knows its two towers by. */
  readonly releases: readonly string[]
  /** Published accuracies of its weights, the best first. */
  readonly accuracies: readonly PublishedAccuracy[]
  /** The papers' measurements; null where there are none. */
  readonly published: PublishedFigures | null
}

/** All variants, in the order of their table. */
export function family(): Member[] {
  return (Object.keys(variants) as VariantName[]).map(describeMember)
}

export function describeMember(name: VariantName): Member {
  const release = released.find(({ variant }) => variant === name)
  const { model, preprocessing } = variants[name]
  const { imageSize, embedDim } = model
  const image = towerFigures(model, "image", nameIn(imageTowers, model.image))
  const text = towerFigures(model, "text", nameIn(textTowers, model.text))
  return {
    name,
    image,
    text,
    imageSize,
    embedDim,
    contextLength: model.text.contextLength,
    causal: model.text.causal,
    preprocessing,
    megabytes: megabytesOf(image.parameters.fused + text.parameters.fused),
    licenses: usesOf(name),
    recommendedFor: recommendedFor(release),
    releases: released
      .filter(({ variant, contents }) => variant === name && contents === "clip")
      .map((one) => one.name),
    accuracies: accuraciesOf(name),
    published: published[name] ?? null,
  }
}

/** The cost layer by layer, for one picture or one text. */
export function towerCost(config: ClipConfig, tower: TowerName, form: Form): CostReport {
  const model = new Clip(config)
  return partCost(form === "fused" ? reparameterize(model) : model, tower)
}

function towerFigures(config: ClipConfig, tower: TowerName, name: string): TowerFigures {
  const { parameters: fused, multiplyAdds, attentionMultiplyAdds, activationBytes } = towerCost(config, tower, "fused")
  const train = new Clip(config)[tower].learnedSize()
  return { name, parameters: { train, fused }, multiplyAdds, attentionMultiplyAdds, activationBytes }
}

/** The cost of a tower, with its layers as the cost interpreter saw them, or summed over the parts of the module tree. */
export interface TowerLayers extends CostReport {
  readonly tower: TowerName
  /** As in `TowerFigures`. */
  readonly name: string
  readonly form: Form
}

interface LayersOptions {
  readonly towers: readonly TowerName[]
  readonly form: Form
  /** Layers whose paths have the same first segments, so many below the tower, are added up; default: none are. */
  readonly depth?: number
}

export function towerLayers(name: VariantName, { towers, form, depth }: LayersOptions): TowerLayers[] {
  const { model } = variants[name]
  const names = { image: nameIn(imageTowers, model.image), text: nameIn(textTowers, model.text) }
  return towers.map((tower) => {
    const cost = towerCost(model, tower, form)
    const layers = depth === undefined ? cost.layers : groupLayers(cost.layers, depth)
    return { tower, name: names[tower], form, ...cost, layers }
  })
}

/** Each group stands in the place of its first layer. */
function groupLayers(layers: readonly LayerCost[], depth: number): LayerCost[] {
  const groups = new Map<string, LayerCost>()
  for (const layer of layers) {
    const path = layer.path.split(".", depth + 1).join(".")
    const before = groups.get(path)
    groups.set(path, before ? sumOf(path, before, layer) : { ...layer, path })
  }
  return [...groups.values()]
}

/** A group's shape is that of its last layer; several layers have no kernel. */
function sumOf(path: string, a: LayerCost, b: LayerCost): LayerCost {
  return {
    path,
    operations: [...new Set([...a.operations, ...b.operations])],
    shape: b.shape,
    convolution: null,
    parameters: a.parameters + b.parameters,
    multiplyAdds: a.multiplyAdds + b.multiplyAdds,
    attentionMultiplyAdds: a.attentionMultiplyAdds + b.attentionMultiplyAdds,
    activationBytes: a.activationBytes + b.activationBytes,
  }
}

/** The key of a table's row. */
function nameIn<Row>(table: Readonly<Record<string, Row>>, row: Row): string {
  return Object.keys(table).find((name) => table[name] === row) ?? "unnamed"
}
