/** A tower layer by layer, as lines of text. */
import type { Cost, LayerCost } from "../../tensor/cost.ts"
import type { TowerLayers } from "../../train/plan/family.ts"
import { textTable } from "../table.ts"
import { kibibytes, short } from "./units.ts"

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
