/** What addresses are relative to. In a worker of the caller's own there is no document, and in Node no location either. */
export function pageUrl(): string {
  return globalThis.document?.baseURI ?? globalThis.location?.href ?? ""
}
