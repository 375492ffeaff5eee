import { expect, test, vi } from "vitest"
import { toMessage } from "../core/error-message.ts"
import { EnvironmentError, UserError } from "../core/errors.ts"
import { Engine } from "./engine.ts"
import type { ToPage, ToWorker } from "./protocol.ts"

/** Answers when a test says so. */
class FakeWorker {
  readonly received: ToWorker[] = []
  readonly terminate = vi.fn()
  private readonly listeners = new Map<string, (event: unknown) => void>()

  postMessage(message: ToWorker): void {
    this.received.push(message)
  }

  addEventListener(type: string, listener: (event: never) => void): void {
    this.listeners.set(type, listener as (event: unknown) => void)
  }

  say(message: ToPage): void {
    this.dispatch("message", { data: message })
  }

  dispatch(type: string, event: unknown): void {
    this.listeners.get(type)!(event)
  }
}

function started() {
  const worker = new FakeWorker()
  return { worker, engine: new Engine(worker as never) }
}

test("answers reach their calls in any order, progress on the way", async () => {
  const { worker, engine } = started()
  const onProgress = vi.fn()
  const [first, second] = [engine.call("encodeTexts", [["a"]]), engine.call("encodeTexts", [["b"]], { onProgress })]
  const progress = { stage: "open", file: "x", loaded: 0, total: null, from: "disk" } as const
  worker.say({ kind: "progress", id: 2, progress })
  worker.say({ kind: "result", id: 2, value: Float32Array.of(2) })
  worker.say({ kind: "result", id: 1, value: Float32Array.of(1) })
  expect([await first, await second]).toEqual([Float32Array.of(1), Float32Array.of(2)])
  expect(onProgress.mock.calls).toEqual([[progress]])
})

test("what cannot be sent is one clear error", async () => {
  const { worker, engine } = started()
  worker.postMessage = (message) => void structuredClone({ ...message, made: () => 1 })
  await expect(engine.call("encodeTexts", [["a"]])).rejects.toThrow(/^what was given cannot be sent to the worker/)
})

test("errors keep their class and hint", async () => {
  const { worker, engine } = started()
  const call = engine.call("encodeTexts", [["a"]])
  worker.say({ kind: "error", id: 1, error: toMessage(new UserError("wrong", "do this")) })
  await expect(call).rejects.toMatchObject({ constructor: UserError, message: "wrong", hint: "do this" })
})

test("an abort is the signal's reason at once, and is told to the worker; a late answer is nobody's", async () => {
  const { worker, engine } = started()
  const controller = new AbortController()
  const call = engine.call("encodeTexts", [["a"]], { signal: controller.signal })
  controller.abort("enough")
  await expect(call).rejects.toBe("enough")
  expect(worker.received.at(-1)).toEqual({ kind: "abort", id: 1 })
  worker.say({ kind: "result", id: 1, value: null })
  await expect(engine.call("encodeTexts", [["a"]], { signal: controller.signal })).rejects.toBe("enough")
  expect(worker.received).toHaveLength(2)
})

test.each([
  ["error", { message: "out of memory" }, /has failed: out of memory/],
  ["error", {}, /could not be started/],
  ["messageerror", {}, /cannot be read/],
  ["message", { data: { kind: "lost", reason: "unplugged" } }, /device was lost \(unplugged\)/],
])("a worker that ends by %s %j ends what is under way and what comes later", async (type, event, message) => {
  const { worker, engine } = started()
  const call = engine.call("encodeTexts", [["a"]])
  worker.dispatch(type, event)
  await expect(call).rejects.toThrow(message)
  await expect(engine.call("encodeTexts", [["a"]])).rejects.toBeInstanceOf(EnvironmentError)
  expect(worker.terminate).toHaveBeenCalledTimes(1)
})
