import { expect, test } from "vitest"
import { requireOutput } from "./output.ts"

test.each([
  ["out/0.tar", "out"],
  ["/data/out/00/0.tar", "/data/out/"],
  ["s3://b/out/a%20b.tar", "s3://b/out"],
  ["s3://b/out/100%.tar", "s3://b/out"],
  ["file:///out/0.jsonl", "file:///out"],
])("%s is inside of %s", (output, folder) => {
  requireOutput(output, folder)
})

test.each([
  ["/victim/keep", "/data/out", 'the output "/victim/keep" is not inside of "/data/out", the job\'s output'],
  ["/data/outer/0.tar", "/data/out", "is not inside of"],
  ["/data/out", "/data/out", "is not inside of"],
  ["s3://other/out/0.tar", "s3://b/out", "is not inside of"],
  ["/data/out/", "/data/out", 'the task names ""'],
  ["/data/out/../victim/keep", "/data/out", 'the task names "../victim/keep", which could be outside of its folder'],
  ["/data/out//victim", "/data/out", "could be outside of its folder"],
  ["s3://b/out/%2e%2e/victim", "s3://b/out", 'the task names "../victim"'],
  ["file:///out/a%2f..%2f..%2fvictim", "file:///out", 'the task names "a/../../victim"'],
  ["/data/out/config.json", "/data/out", "is not a shard's"],
  ["/data/out/_done/0.tar.json", "/data/out", "is not a shard's"],
])("%s is not a shard of %s", (output, folder, message) => {
  expect(() => requireOutput(output, folder)).toThrow(message)
})
