/**
 * The inference form of a model: every multi-branch block becomes the one convolution it is equal to in eval mode.
 * What is fused is what the reference implementations fuse, so that published names exist for the result.
 *
 * The folded form, which is exported, goes on from there: every batch norm that is left and every layer scale goes into
 * the weights next to it. It is exact, but no published file is written like this, so it has no published names.
 */
import { Module, withFields } from "./module.ts"

/** A module that knows its own inference form. */
interface Reparameterizable extends Module {
  reparameterize(): Module
}

/** A copy of `model` in inference form. Modules that do not change share their parameters with the original. */
export function reparameterize<M extends Module>(model: M): M {
  return transform(model, (module) => (isReparameterizable(module) ? module.reparameterize() : null)) as M
}

/** A module that knows its own folded form. */
interface Foldable extends Module {
  fold(): Module
}

/** A folded copy of `model`, which must be in inference form. Modules that do not change share their parameters with the original. */
export function fold<M extends Module>(model: M): M {
  return transform(model, (module) => (isFoldable(module) ? module.fold() : null)) as M
}

/** Copies a tree of modules, parents first; where `replace` returns a module, it takes the original's place. */
function transform(value: unknown, replace: (module: Module) => Module | null): unknown {
  if (Array.isArray(value)) return value.map((item) => transform(item, replace))
  if (!(value instanceof Module)) return value
  const replacement = replace(value)
  if (replacement) return replacement
  const fields = Object.entries(value).map(([name, field]) => [name, transform(field, replace)])
  return withFields(value, Object.fromEntries(fields))
}

function isReparameterizable(module: Module): module is Reparameterizable {
  return "reparameterize" in module
}

function isFoldable(module: Module): module is Foldable {
  return "fold" in module
}
