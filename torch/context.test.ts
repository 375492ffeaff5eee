import { describe, expect, test } from "vitest"
import * as torch from "./index.ts"

const { ones, randn, tensor } = torch

describe("noGrad", () => {
  const x = ones([1]).requiresGrad_()
  const recording = () => x.mul(2).requiresGrad

  test("records nothing inside, and again after", () => {
    expect(torch.noGrad(recording)).toBe(false)
    expect(torch.noGrad(() => torch.noGrad(() => 1) + Number(recording()))).toBe(1)
    expect(recording()).toBe(true)
  })

  test("is over when the function throws or is asynchronous", () => {
    expect(() =>
      torch.noGrad(() => {
        throw new Error("stop")
      }),
    ).toThrow("stop")
    expect(() => torch.noGrad(async () => 1)).toThrow("noGrad(fn): fn returned a Promise")
    expect(recording()).toBe(true)
  })
})

describe("autocast", () => {
  const [a, b] = [ones([2, 2]), ones([2, 2])]
  const options = { device: "cpu", dtype: "bfloat16" } as const
  const product = () => a.matmul(b).dtype

  test("computes products in the lower precision inside only", () => {
    expect(torch.autocast(options, product)).toBe("bfloat16")
    expect(torch.autocast(options, () => a.add(b).dtype)).toBe("float32")
    expect(product()).toBe("float32")
  })

  test("nests and is over when the function throws", () => {
    torch.autocast(options, () => {
      expect(() =>
        torch.autocast(options, () => {
          throw new Error("stop")
        }),
      ).toThrow("stop")
      expect(product()).toBe("bfloat16")
    })
    expect(product()).toBe("float32")
  })

  test("gradients arrive in the dtype of the parameter", () => {
    const weight = ones([2, 2]).requiresGrad_()
    const loss = torch.autocast(options, () => a.matmul(weight).to({ dtype: "float32" }).sum())
    loss.backward()
    expect([weight.grad!.dtype, Array.from(weight.grad!.data(), Number)]).toEqual(["float32", [2, 2, 2, 2]])
  })

  test("which types there are on the processor", () => {
    const [major, minor] = torch.version().split(".").map(Number) as [number, number]
    expect(torch.hasAutocast({ device: "cpu", dtype: "bfloat16" })).toBe(true)
    expect(torch.hasAutocast({ device: "cpu", dtype: "float16" })).toBe(major > 2 || (major === 2 && minor >= 3))
    expect(() => torch.hasAutocast({ device: "gpu" as never, dtype: "float16" })).toThrow("not available")
    expect(product()).toBe("float32")
  })

  test("an unknown dtype or device changes nothing", () => {
    expect(() => torch.autocast({ device: "cpu", dtype: "int8x" as never }, product)).toThrow("unknown dtype")
    expect(() => torch.autocast({ device: "gpu" as never, dtype: "bfloat16" }, product)).toThrow("not available")
    expect(product()).toBe("float32")
  })
})

describe("random numbers", () => {
  test("a seed repeats them, and so does a saved state", () => {
    torch.manualSeed(7)
    const first = randn([5]).data()
    const state = torch.generatorState()
    const second = randn([5]).data()
    torch.setGeneratorState(state)
    expect(randn([5]).data()).toEqual(second)
    torch.manualSeed(7)
    expect(randn([5]).data()).toEqual(first)
    expect(first).not.toEqual(second)
  })

  test("a wrong state, seed or device is an error", () => {
    expect(() => torch.setGeneratorState(new Uint8Array(3))).toThrow()
    expect(() => torch.setGeneratorState(new Float32Array(3) as never)).toThrow("expected a Uint8Array")
    expect(() => torch.manualSeed(1.5)).toThrow("expected an integer, got 1.5")
    expect(() => torch.generatorState("cuda:99")).toThrow("cuda:99")
    expect(() => torch.generatorState("nonsense" as never)).toThrow()
  })
})

describe("machine", () => {
  test("threads", () => {
    const before = torch.threads()
    torch.setThreads(2)
    expect(torch.threads()).toBe(2)
    torch.setThreads(before)
    for (const wrong of [0, -1, 1.5, Number.NaN, 1e9]) expect(() => torch.setThreads(wrong)).toThrow("expected")
  })

  test("version and devices", () => {
    expect(torch.version()).toMatch(/^\d+\.\d+\.\d+/)
    expect(torch.devices()[0]).toBe("cpu")
  })

  test("memory counts tensors and bytes", () => {
    const before = torch.memory()
    const x = tensor(new Float64Array(10), [10])
    const after = torch.memory()
    expect([after.liveTensors - before.liveTensors, after.liveBytes - before.liveBytes]).toEqual([1, 80])
    x.free()
  })
})

test("setCudaOptions changes what is given and tells what held before", () => {
  const before = torch.setCudaOptions({})
  torch.setCudaOptions({ tf32: false, benchmark: true })
  expect(torch.setCudaOptions({ benchmark: false })).toEqual({ tf32: false, benchmark: true })
  expect(torch.setCudaOptions(before)).toEqual({ tf32: false, benchmark: false })
})

test("withoutTf32 turns rounding off, and on again where it was on, also where fn throws", () => {
  const before = torch.setCudaOptions({ tf32: true })
  const now = () => torch.setCudaOptions({}).tf32
  expect([torch.withoutTf32(now), now()]).toEqual([false, true])
  expect(() =>
    torch.withoutTf32(() => {
      throw new Error("no")
    }),
  ).toThrow("no")
  expect(now()).toBe(true)
  torch.setCudaOptions({ tf32: false })
  expect([torch.withoutTf32(now), now()]).toEqual([false, false])
  torch.setCudaOptions(before)
})

test("synchronize names devices that are not there", () => {
  torch.synchronize("cpu")
  expect(() => torch.synchronize("cuda:7")).toThrow(/device "cuda:7" is not available/)
})
