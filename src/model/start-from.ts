/** Starting a model with what another one has learned: a captioner from a CLIP model with the same image tower. */
import type { Module } from "./module.ts"

/**
 * Gives `model` the values of `learned` for every path that both have with one shape and `wanted` names, for example an
 * image tower's; the others keep theirs. Returns the paths. Both must be in the same form.
 */
export function startFrom(model: Module, learned: Module, wanted: (path: string) => boolean): string[] {
  const known = learned.namedParameters()
  const taken: string[] = []
  for (const [path, parameter] of model.namedParameters()) {
    const source = known.get(path)
    if (!source || String(source.shape) !== String(parameter.shape) || !wanted(path)) continue
    parameter.source = () => source.read()
    taken.push(path)
  }
  return taken
}
