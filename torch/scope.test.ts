import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { describe, expect, test } from "vitest"
import { keep, memory, ones, scope, Tensor, tensor, zeros } from "./index.ts"

const live = () => memory().liveTensors

/** Collects garbage, and lets its tensors be freed. */
async function collected(): Promise<void> {
  setFlagsFromString("--expose-gc")
  const collect = runInNewContext("gc") as () => void
  collect()
  await new Promise((resolve) => setTimeout(resolve, 10))
}

describe("scope", () => {
  test("frees what was made inside and nothing else", () => {
    const outside = ones([2])
    const before = live()
    let inside: Tensor | undefined
    const result = scope(() => {
      inside = outside.add(1).mul(2)
      return inside.sum().item()
    })
    expect([result, inside!.freed, outside.freed, live()]).toEqual([8, true, false, before])
    outside.free()
  })

  test("keeps what is returned, at any depth", () => {
    const before = live()
    const { list, map, nested } = scope(() => {
      ones([1])
      return {
        list: [ones([1]), [ones([2])]] as const,
        map: new Map([["a", ones([3])]]),
        nested: { deep: { x: ones([4]) } },
      }
    })
    const kept = [list[0], list[1][0], map.get("a")!, nested.deep.x]
    expect(kept.map((x) => x!.numel)).toEqual([1, 2, 3, 4])
    expect(live()).toBe(before + 4)
    for (const x of kept) x!.free()
  })

  test("a returned object may be cyclic", () => {
    const cyclic: { x?: Tensor; self?: unknown } = {}
    scope(() => {
      cyclic.x = ones([1])
      cyclic.self = cyclic
      return cyclic
    })
    expect(cyclic.x!.freed).toBe(false)
  })

  test("nests: what leaves the inner scope belongs to the outer one", () => {
    const before = live()
    let inner: Tensor | undefined
    scope(() => {
      inner = scope(() => ones([1]).add(1))
      expect(inner.item()).toBe(2)
      expect(live()).toBe(before + 1)
    })
    expect([inner!.freed, live()]).toEqual([true, before])
  })

  test("a tensor of the outer scope returned by the inner one stays there", () => {
    scope(() => {
      const x = ones([1])
      scope(() => x)
      scope(() => {})
      expect(x.freed).toBe(false)
    })
  })

  test("frees everything when the function throws", () => {
    const before = live()
    const fail = () =>
      scope(() => {
        const x = ones([1])
        scope(() => {
          x.add(1)
          throw new Error("stop")
        })
      })
    expect(fail).toThrow("stop")
    expect(live()).toBe(before)
    expect(scope(() => ones([1])).freed).toBe(false)
  })

  test("refuses asynchronous functions, and says so once", async () => {
    // What earlier tests left must not be collected while this one counts.
    for (let i = 0; i < 20 && live() > 0; i++) await collected()
    const before = live()
    const start = () =>
      scope(async () => {
        const x = ones([1])
        await null
        x.add(1)
      })
    expect(start).toThrow("scope(fn): fn returned a Promise; it must be synchronous")
    await new Promise((resolve) => setTimeout(resolve, 10))
    expect(live()).toBe(before)
  })

  test("keep takes a tensor out of all scopes", () => {
    const x = scope(() => scope(() => [keep(ones([1]))]))[0]!
    const y = scope(() => {
      const kept = keep(zeros([1]))
      return () => kept
    })()
    expect([x.freed, y.freed]).toEqual([false, false])
  })

  test("a forged tensor among the results does not keep the scope open", () => {
    const before = live()
    scope(() => [Object.create(Tensor.prototype), ones([1])])[1].free()
    expect(live()).toBe(before)
    expect(scope(() => [ones([1])])[0]!.freed).toBe(false)
  })

  test("a gradient survives the scope in which backward ran", () => {
    const x = tensor([2], [1], { requiresGrad: true })
    scope(() => x.mul(x).backward())
    expect(x.grad!.item()).toBe(4)
  })
})

describe("free", () => {
  test("a freed tensor is an error wherever it is used", () => {
    const x = ones([2])
    x.free()
    x.free()
    expect(x.freed).toBe(true)
    expect(String(x)).toBe("Tensor(freed)")
    for (const use of [
      () => x.shape,
      () => x.data(),
      () => x.add(1),
      () => x.backward(),
      () => x.grad,
      () => keep(x),
    ]) {
      expect(use).toThrow("a freed Tensor")
    }
  })

  test("an old handle never reaches the tensor that took its place", () => {
    const x = ones([1])
    x.free()
    const y = zeros([1])
    expect([x.freed, y.freed]).toEqual([true, false])
    expect(() => x.item()).toThrow("a freed Tensor")
  })

  test("a view outlives the tensor it was made of", () => {
    const x = tensor([1, 2, 3], [3])
    const view = x.narrow(0, 1, 1)
    x.free()
    expect(view.item()).toBe(2)
  })

  test("garbage collection frees what was made outside all scopes", async () => {
    const before = live()
    for (let i = 0; i < 100; i++) ones([1000])
    scope(() => scope(() => [ones([1000]), ones([1000])]))
    for (let i = 0; i < 20 && live() > before; i++) await collected()
    expect(live()).toBeLessThanOrEqual(before)
  })

  test("memory counts a shared storage once", () => {
    const before = memory().liveBytes
    const x = zeros([1000])
    const view = x.reshape([10, 100])
    expect(memory().liveBytes - before).toBe(4000)
    view.free()
    x.free()
  })

  test("things that are not tensors are refused", () => {
    const foreign = [{}, [], "x", 3, null, Object.create(Tensor.prototype), () => 1, Symbol("x"), new Date()]
    for (const value of foreign)
      expect(() => ones([1]).copy_(value as Tensor)).toThrow('argument "src": expected a Tensor')
  })
})
