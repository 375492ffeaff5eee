/** A tower layer by layer, as the cost interpreter saw it, or summed over the parts of the module tree. */
import type { TowerName } from "../../export/towers.ts"
import type { Cost, CostReport, LayerCost } from "../../tensor/cost.ts"
import { textTable } from "../table.ts"
import type { Form } from "./family.ts"
import { kibibytes, short } from "./units.ts"

/** What `--layers --json` prints for each tower. */
export interface TowerLayers extends CostReport {
  readonly tower: TowerName
  readonly name: string
  readonly form: Form
}

/** Adds up layers whose paths have the same first `depth` segments below the tower, in the place of the first of them. */
export function groupLayers(layers: readonly LayerCost[], depth: number): LayerCost[] {
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

/** A line for the tower, the table, and the totals in its last line. */
export function layersText({ tower, name, form, layers, ...total }: TowerLayers): string {
  const rows = layers.map((layer) => [
    layer.path || "(input)",
    layer.operations.join(" "),
    layer.shape.slice(1).join(" x "),
    kernelText(layer.convolution),
    ...costCells(layer, total),
  ])
  const sums = ["total", `${layers.length} ${layers.length === 1 ? "row" : "rows"}`, "", "", ...costCells(total, total)]
  const table = textTable(layerColumns, [...rows, sums])
  return `${tower} tower ${name}, ${form === "fused" ? "fused" : "in training form"}, batch 1\n${table}`
}

const right = { align: "right" } as const

const layerColumns = [
  { title: "path" },
  { title: "operations" },
  { title: "output", ...right },
  { title: "kernel" },
  { title: "params", ...right },
  { title: "MACs", ...right },
  { title: "attention", ...right },
  { title: "act KiB", ...right },
  { title: "share", ...right },
]

/** The share counts all multiply-adds, including attention's. */
function costCells(cost: Cost, total: Cost): string[] {
  const all = work(total)
  return [
    short(cost.parameters),
    short(cost.multiplyAdds),
    short(cost.attentionMultiplyAdds),
    kibibytes(cost.activationBytes),
    `${(all === 0 ? 0 : (100 * work(cost)) / all).toFixed(1)}%`,
  ]
}

function work({ multiplyAdds, attentionMultiplyAdds }: Cost): number {
  return multiplyAdds + attentionMultiplyAdds
}

/** "3x3 /2 g64": rows and columns, stride where it is not 1, groups where there are several. */
function kernelText(convolution: LayerCost["convolution"]): string {
  if (!convolution) return ""
  const { kernel, stride, groups } = convolution
  return [kernel.join("x"), stride > 1 ? `/${stride}` : "", groups > 1 ? `g${groups}` : ""].filter(Boolean).join(" ")
}
