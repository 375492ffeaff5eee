import type { EvaluatedModel } from "./evaluated-model.ts"

/** What a model's vectors depend on: its identity without its name, because the same weights may be called differently. */
export function cacheIdentity({ name, identity }: Pick<EvaluatedModel, "name" | "identity">): string {
  return identity.startsWith(`${name} `) ? identity.slice(name.length + 1) : identity
}
