import { expect, test } from "vitest"
import { number, splitWords, wholeNumber } from "./options.ts"

test("whole numbers", () => {
  expect(["1", "64", "+7"].map(wholeNumber(1, 64))).toEqual([1, 64, 7])
  for (const text of ["0", "65", "1.5", "1e3", "", "x"]) {
    expect(() => wholeNumber(1, 64)(text)).toThrow("expected a whole number from 1 to 64")
  }
  expect(() => wholeNumber(1)("0")).toThrow("expected a whole number from 1 on")
})

test("numbers", () => {
  expect(["0", "1e-3", ".5"].map(number(0, 1))).toEqual([0, 0.001, 0.5])
  for (const text of ["1.01", "-1", "", " ", "NaN", "Infinity", "1x"])
    expect(() => number(0, 1)(text)).toThrow("from 0 to 1")
})

test("words of a command line are split into given options with their values, and the others", () => {
  const argv = ["--nproc", "2", "--out", "runs/a", "--nproc=3", "x=--nproc", "--nprocs", "4", "--json"]
  expect(splitWords(argv, ["--nproc"])).toEqual({
    named: ["--nproc", "2", "--nproc=3"],
    others: ["--out", "runs/a", "x=--nproc", "--nprocs", "4", "--json"],
  })
  expect(splitWords(["--out"], ["--out"])).toEqual({ named: ["--out"], others: [] })
})
