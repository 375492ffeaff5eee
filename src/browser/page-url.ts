/** What addresses are relative to. In a worker of the caller's own there is no document. */
export function pageUrl(): string {
  return globalThis.document?.baseURI ?? location.href
}
