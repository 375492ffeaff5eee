/**
 * The form that is exported: behind `reparameterize`, every batch norm that is left and every layer scale goes into the
 * weights next to it. Exact, but no published file is written like this, so these models have no published names.
 */
import type { Module } from "./module.ts"
import { transform } from "./reparameterize.ts"

/** A module that knows its own folded form. */
interface Foldable extends Module {
  fold(): Module
}

/** A copy of `model`, which must be in inference form. Modules that do not change share their parameters. */
export function fold<M extends Module>(model: M): M {
  return transform(model, (module) => (isFoldable(module) ? module.fold() : null)) as M
}

function isFoldable(module: Module): module is Foldable {
  return "fold" in module
}
