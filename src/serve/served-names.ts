/** The names that requests use for models. */
import { basename } from "node:path"
import { quoted, UserError } from "../core/errors.ts"
import type { ModelSettings } from "./engine/model-work.ts"

/**
 * Settings by name: "NAME=MODEL", or MODEL alone, whose name is its last part ("models/s0" is s0). Throws UserError where two have
 * one name, or there is none.
 */
export function servedModels(
  given: readonly string[],
  settings: Omit<ModelSettings, "model">,
): ReadonlyMap<string, ModelSettings> {
  if (given.length === 0) throw new UserError("no model was named", "name one with --model")
  const models = new Map<string, ModelSettings>()
  for (const word of given) {
    const [, alias, named] = /^([^=/\\]+)=(.+)$/s.exec(word) ?? []
    const model = named ?? word
    const name = alias ?? basename(model.replace(/[/\\]+$/, ""))
    if (models.has(name)) throw new UserError(`two models are called ${quoted(name)}`, "name one: --model NAME=MODEL")
    models.set(name, { ...settings, model })
  }
  return models
}
