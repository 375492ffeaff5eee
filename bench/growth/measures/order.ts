/** The order of an epoch: made, and asked a million times. */
import type { Prepare } from "../row.ts"

const lookUps = 1e6

/** A step that visits positions far from each other, and is prime. */
const stride = 1_000_003

export const prepare: Prepare = async (build, { size: { units: positions } }) => {
  const { EpochOrder } = await build.load<typeof import("../../../src/data/training/order/order.ts")>(
    "src/data/training/order/order.js",
    "src/data/training/order.js",
  )
  return async () => {
    const order = new EpochOrder(positions, 1)
    let sum = 0
    for (let i = 0; i < lookUps; i++) sum += order.at((i * stride) % positions)
    if (Number.isNaN(sum)) throw new Error("a position has no sample")
    return undefined
  }
}
