import { expect, test } from "vitest"
import { ThumbnailKeys } from "./thumbnail-keys.ts"

const hour = 3_600_000
const secret = new Uint8Array(32).fill(7)
const addressAt = (address: string) => new URL(address, "http://a.test")

test("a key opens its picture in its hour and the next one, is the same within an hour, and opens nothing else", () => {
  let now = 1000 * hour + 5
  const keys = new ThumbnailKeys(secret, () => now)
  const address = keys.addressOf("picture-1")
  const key = addressAt(address).searchParams.get("key")!
  expect(key).toMatch(/^[\w-]{43}$/)
  now += hour - 6
  expect(keys.addressOf("picture-1")).toBe(address)
  expect(keys.opens(addressAt(`${address}&side=64`))).toBe(true)
  for (const other of [
    `/v1/search/thumbnail/picture-2?key=${key}`,
    `/v1/search/thumbnail/picture-1/more?key=${key}`,
    `/v1/search/picture-1?key=${key}`,
    `/v1/search/thumbnail/picture-1?key=${key.slice(1)}`,
    "/v1/search/thumbnail/picture-1?key=",
    "/v1/search/thumbnail/picture-1",
  ])
    expect([other, keys.opens(addressAt(other))]).toEqual([other, false])
  expect(
    new ThumbnailKeys(
      secret.map(() => 8),
      () => now,
    ).opens(addressAt(address)),
  ).toBe(false)
  now += 1
  expect([keys.opens(addressAt(address)), keys.addressOf("picture-1") === address]).toEqual([true, false])
  now += hour
  expect(keys.opens(addressAt(address))).toBe(false)
})
