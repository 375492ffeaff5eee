/** Whether a newer version of the page waits, and how it takes over. */
import { signal } from "@preact/signals"

/** The version that waits for the user's consent. */
export const waiting = signal<ServiceWorker | null>(null)

/** Whether the page opens without a network. */
export const isOfflineReady = signal(false)

export async function watchForUpdates(): Promise<void> {
  if (!("serviceWorker" in navigator) || !import.meta.env.PROD) return
  navigator.serviceWorker.ready.then(() => {
    isOfflineReady.value = true
  })
  try {
    const registration = await navigator.serviceWorker.register(new URL("./service-worker.js", document.baseURI))
    const look = () => {
      if (registration.waiting && navigator.serviceWorker.controller) waiting.value = registration.waiting
    }
    look()
    registration.addEventListener("updatefound", () => registration.installing?.addEventListener("statechange", look))
  } catch {
    // Private windows of some browsers, and pages without https, have none: the page works online.
  }
}

export function takeOver(): void {
  navigator.serviceWorker.addEventListener("controllerchange", () => location.reload(), { once: true })
  waiting.value?.postMessage("take over")
}

/** Until the service worker sees what the page fetches, so that the runtime is kept. Seconds at most. */
export async function whenWatched(seconds = 3): Promise<void> {
  const { serviceWorker } = navigator
  if (!serviceWorker || serviceWorker.controller || !import.meta.env.PROD) return
  await Promise.race([
    new Promise((resolve) => serviceWorker.addEventListener("controllerchange", resolve, { once: true })),
    new Promise((resolve) => setTimeout(resolve, seconds * 1000)),
  ])
}
