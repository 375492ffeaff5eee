import { MobileCLIP } from "mobileclip/browser"
import { afterEach, beforeEach, expect, test, vi } from "vitest"
import { isClosed, model, openModel, ready } from "./state.ts"

// A page without a service worker.
beforeEach(() => void vi.stubGlobal("navigator", {}))
afterEach(() => {
  vi.restoreAllMocks()
  vi.unstubAllGlobals()
  model.value = { kind: "none" }
})

function clipOf(name: string) {
  const preprocessing = { size: 8 }
  const info = { name, manifest: null, dtype: { image: "fp32" }, preprocessing }
  return { info, dispose: vi.fn(async () => {}) } as unknown as MobileCLIP
}

const nameOfReady = () => ready.value?.clip.info.name

test("pictures are turned as the page shows them, and vectors are kept under a key that says so", async () => {
  const load = vi.spyOn(MobileCLIP, "load").mockResolvedValue(clipOf("first"))
  await openModel("./first/")
  expect(load.mock.calls[0]![1]).toMatchObject({ orientation: "apply" })
  expect(JSON.parse(ready.value!.key)).toContain("apply")
})

test("a model computes until another one has opened, and goes on where that cannot be opened or is stopped", async () => {
  const [first, second] = [clipOf("first"), clipOf("second")]
  const load = vi.spyOn(MobileCLIP, "load").mockResolvedValueOnce(first)
  await openModel("./first/")
  const opened = ready.value!

  load.mockRejectedValueOnce(new Error("there is no model"))
  const failing = openModel("./nothing/")
  expect([model.value.kind, nameOfReady()]).toEqual(["loading", "first"])
  await failing
  expect([model.value.kind, nameOfReady()]).toEqual(["failed", "first"])
  expect(first.dispose).not.toHaveBeenCalled()

  load.mockImplementationOnce(async (_, options) => {
    await new Promise((resolve) => options!.signal!.addEventListener("abort", resolve))
    throw options!.signal!.reason
  })
  const stopped = openModel("./slow/")
  await vi.waitFor(() => expect(load).toHaveBeenCalledTimes(3))
  if (model.value.kind === "loading") model.value.stop()
  await stopped
  expect(model.value).toBe(opened)

  load.mockResolvedValueOnce(second)
  await openModel("./second/")
  expect(nameOfReady()).toBe("second")
  expect([first, second].map(({ dispose }) => vi.mocked(dispose).mock.calls.length)).toEqual([1, 0])
  expect([isClosed(opened), isClosed(ready.value!)]).toEqual([true, false])
})

test("the first model that cannot be opened leaves none", async () => {
  vi.spyOn(MobileCLIP, "load").mockRejectedValueOnce(new Error("there is no model"))
  await openModel("./nothing/")
  expect([model.value.kind, ready.value]).toEqual(["failed", null])
})
