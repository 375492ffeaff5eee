/**
 * The service worker: after the first visit the page opens without a network. The page's own files are kept when it is
 * installed; of the runtime's two large ones, each is kept when it is used. Models are the library's to keep.
 */
/// <reference lib="webworker" />

export {}

interface Listed {
  readonly url: string
  readonly revision: string | null
}

declare const self: ServiceWorkerGlobalScope & { readonly __WB_MANIFEST: readonly Listed[] }

const listed = self.__WB_MANIFEST
const scope = self.registration.scope
/** Which version of the page this is. */
const version = hashOf(listed.map(({ url, revision }) => `${url} ${revision}`).join("\n"))
const [pageCache, largeCache, answers] = [`page-${version}`, "runtime", "answers"]

const addresses = new Map(listed.map(({ url }) => [new URL(url, scope).href, isLarge(url)]))

self.addEventListener("install", (event) => event.waitUntil(install()))
self.addEventListener("activate", (event) => event.waitUntil(activate()))
self.addEventListener("message", ({ data }) => {
  // The user agreed: until then the old version goes on, so that nothing on the page is lost.
  if (data === "take over") self.skipWaiting()
})
self.addEventListener("fetch", (event) => {
  const { request } = event
  if (request.method !== "GET") return
  const url = new URL(request.url)
  url.hash = ""
  url.search = ""
  const address = url.href === scope ? new URL("index.html", scope).href : url.href
  const isBig = addresses.get(address)
  if (isBig !== undefined) event.respondWith(fromCache(address, isBig))
  else if (url.href === new URL("app/config.json", scope).href) event.respondWith(fromNetwork(request))
})

async function install(): Promise<void> {
  const cache = await caches.open(pageCache)
  const files = [...addresses].filter(([, large]) => !large).map(([url]) => url)
  await Promise.all(files.map(async (url) => cache.put(url, await whole(url))))
}

async function activate(): Promise<void> {
  const names = (await caches.keys()).filter((name) => name.startsWith("page-") && name !== pageCache)
  await Promise.all(names.map((name) => caches.delete(name)))
  const large = await caches.open(largeCache)
  const gone = (await large.keys()).filter(({ url }) => !addresses.has(url))
  await Promise.all(gone.map((request) => large.delete(request)))
  await self.clients.claim()
}

async function fromCache(url: string, large: boolean): Promise<Response> {
  const cache = await caches.open(large ? largeCache : pageCache)
  const kept = await cache.match(url)
  if (kept) return kept
  const response = await whole(url)
  // The answer is given also where the disk is full.
  await cache.put(url, response.clone()).catch(() => {})
  return response
}

async function fromNetwork(request: Request): Promise<Response> {
  const cache = await caches.open(answers)
  try {
    const response = await fetch(request)
    if (response.ok) await cache.put(request, response.clone())
    return response
  } catch (error) {
    const kept = await cache.match(request)
    if (kept) return kept
    throw error
  }
}

async function whole(url: string): Promise<Response> {
  const response = await fetch(url, { cache: "no-cache" })
  if (!response.ok) throw new Error(`${url}: ${response.status}`)
  return response
}

function isLarge(url: string): boolean {
  return /ort-wasm.*\.wasm$/.test(url)
}

/** Tells versions apart; nothing depends on it but the names of caches. */
function hashOf(text: string): string {
  let hash = 5381
  for (let i = 0; i < text.length; i++) hash = (Math.imul(hash, 33) ^ text.charCodeAt(i)) >>> 0
  return hash.toString(36)
}
