/** Lifetime of tensors: `scope` frees what was made inside, garbage collection what was made outside all scopes. */
import { native, Tensor } from "./tensor.ts"

/**
 * Runs `fn` and frees every tensor made inside, except those it returns (alone, in arrays, maps or plain objects, at any
 * depth), which move to the scope around it. Frees all when `fn` throws. Scopes nest.
 *
 * @throws Error when `fn` returns a Promise: what it does later would find its tensors freed
 */
export function scope<T>(fn: () => T): T {
  native.openScope()
  let kept: Tensor[] = []
  try {
    const result = fn()
    refusePromise("scope", result)
    kept = tensorsIn(result)
    return result
  } finally {
    if (native.closeScope(kept) === 0) kept.forEach(Tensor.collectable)
  }
}

/** Takes a tensor out of all open scopes: it lives until it is freed or collected, like one made outside. */
export function keep(tensor: Tensor): Tensor {
  native.keep(tensor)
  Tensor.collectable(tensor)
  return tensor
}

/** Fails where a function that must finish at once was asynchronous. */
export function refusePromise(name: string, result: unknown): void {
  if (!(result instanceof Promise)) return
  // It will run into freed tensors or a restored state; what it then reports is this error's consequence.
  result.catch(() => {})
  throw new Error(`${name}(fn): fn returned a Promise; it must be synchronous (await before or after, not inside)`)
}

function tensorsIn(value: unknown, found: Tensor[] = [], seen = new Set<unknown>()): Tensor[] {
  if (typeof value !== "object" || value === null || seen.has(value)) return found
  seen.add(value)
  if (value instanceof Tensor) found.push(value)
  else if (Array.isArray(value)) for (const item of value) tensorsIn(item, found, seen)
  else if (value instanceof Map) for (const item of value.values()) tensorsIn(item, found, seen)
  else if (Object.getPrototypeOf(value) === Object.prototype) tensorsIn(Object.values(value), found, seen)
  return found
}
