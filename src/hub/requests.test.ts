import { afterEach, expect, test, vi } from "vitest"
import { hubFetch } from "./requests.ts"
import { hubSettings } from "./settings.ts"

afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

test("a hub that keeps silent is named after three seconds, and one that answers is not", async () => {
  vi.useFakeTimers()
  const notes: string[] = []
  const settings = await hubSettings({ endpoint: "http://hub.example" }, { HF_HOME: "/nowhere" })
  const fetchOf = hubFetch(settings, "a/b", { onNote: (text) => notes.push(text) })
  let answer: (response: Response) => void = () => {}
  vi.spyOn(globalThis, "fetch").mockImplementation(() => new Promise((resolve) => (answer = resolve)))
  const asked = fetchOf("http://hub.example/api")
  await vi.advanceTimersByTimeAsync(2900)
  expect(notes).toEqual([])
  await vi.advanceTimersByTimeAsync(200)
  expect(notes).toEqual(["no answer from hub.example yet; waiting up to 30 s"])
  answer(new Response("{}"))
  await asked

  const again = fetchOf("http://hub.example/api")
  await vi.advanceTimersByTimeAsync(1000)
  answer(new Response("{}"))
  await again
  await vi.advanceTimersByTimeAsync(60_000)
  expect(notes).toHaveLength(1)
})
