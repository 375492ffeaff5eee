/** Learned values of a configuration, buffers not counted. */
import type { ClipConfig } from "../../core/variants.ts"
import { Clip } from "../../model/clip.ts"
import type { Module } from "../../model/module.ts"

export function parameterCounts(config: ClipConfig): { image: number; text: number; total: number } {
  const model = new Clip(config)
  return { image: learned(model.image), text: learned(model.text), total: learned(model) }
}

function learned(module: Module): number {
  const parameters = [...module.namedParameters().values()].filter(({ role }) => role === "parameter")
  return parameters.reduce((sum, { size }) => sum + size, 0)
}
