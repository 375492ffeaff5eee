/** A worker's end: calls come as messages, results and errors go back. */
import "../no-eval.ts"

import { toMessage } from "../../core/error-message.ts"
import type { ToPage, ToWorker } from "../protocol.ts"
import { Computer } from "./computer.ts"
import type { Runtime } from "./web-graph.ts"

/** What is needed here of a worker's global scope. */
interface WorkerScope {
  readonly name: string
  onmessage: ((event: { readonly data: ToWorker }) => void) | null
  postMessage(message: ToPage, transfer?: Transferable[]): void
}

/** Threads of ONNX Runtime load the file that it is in, which bundlers make this one. */
const threadName = "em-pthread"

export function serve(runtime: Runtime): void {
  const scope = globalThis as unknown as WorkerScope
  if (scope.name.startsWith(threadName)) return
  const computer = new Computer(runtime)
  const running = new Map<number, AbortController>()
  scope.onmessage = async ({ data }) => {
    if (data.kind === "abort") return running.get(data.id)?.abort()
    const { id, name, args } = data
    const controller = new AbortController()
    running.set(id, controller)
    const { signal } = controller
    const context = { signal, onProgress: (progress: never) => scope.postMessage({ kind: "progress", id, progress }) }
    try {
      const call = computer[name] as (...args: readonly unknown[]) => Promise<unknown>
      const value = await call.call(computer, context, ...args)
      if (name === "start") watchDevice(runtime, scope)
      scope.postMessage(
        { kind: "result", id, value },
        value instanceof Float32Array ? [value.buffer as ArrayBuffer] : [],
      )
    } catch (error) {
      scope.postMessage({ kind: "error", id, error: toMessage(error) })
    } finally {
      running.delete(id)
    }
  }
}

/** What is needed here of WebGPU. */
interface GraphicsDevice {
  readonly lost: Promise<{ readonly reason: string; readonly message: string }>
}

async function watchDevice({ device, ort }: Runtime, scope: WorkerScope): Promise<void> {
  if (device !== "webgpu") return
  const { lost } = (await ort.env.webgpu.device) as GraphicsDevice
  const { reason, message } = await lost
  scope.postMessage({ kind: "lost", reason: message || reason })
}
