import { expect, test } from "vitest"
import { devices, Graph, graphsAvailable, ones, scope } from "./index.ts"

test("without a GPU, or without CUDA's headers, nothing is recorded, and the message says which", () => {
  const hasGpu = devices().includes("cuda")
  if (!hasGpu) expect(graphsAvailable()).toBe(false)
  if (graphsAvailable()) {
    const input = ones([4], { device: "cuda" })
    const { graph, result } = Graph.record(() => scope(() => input.mul(2)))
    input.add_(1)
    graph.replay()
    expect(result.to({ device: "cpu" }).data()).toEqual(new Float32Array(4).fill(4))
    graph.free()
  } else {
    expect(() => Graph.record(() => ones([4]))).toThrow(/there is no GPU|built without CUDA graphs/)
  }
})
