import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { batteryOfLinux, chooseNice } from "./nice.ts"

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "nice-"))
})
afterAll(() => rmSync(folder, { recursive: true }))

let machines = 0
function machine(supplies: Record<string, Record<string, string>>): string {
  const path = join(folder, String(machines++))
  mkdirSync(path)
  for (const [name, files] of Object.entries(supplies)) {
    mkdirSync(join(path, name))
    for (const [file, text] of Object.entries(files)) writeFileSync(join(path, name, file), `${text}\n`)
  }
  return path
}

test("what the user wishes goes before watching, and watching before the battery", () => {
  expect(chooseNice(false, true, () => true).nice).toBe(false)
  expect(chooseNice(true, false, () => false).nice).toBe(true)
  expect(chooseNice(undefined, true, () => false).nice).toBe(true)
  expect(chooseNice(undefined, false, () => true).nice).toBe(true)
  for (const battery of [false, null]) expect(chooseNice(undefined, false, () => battery).nice).toBe(false)
})

test("a machine is on battery where one of its own batteries is discharging", () => {
  const mains = { type: "Mains", online: "1" }
  const battery = (status: string) => ({ type: "Battery", status })
  expect(batteryOfLinux(machine({ AC: mains, BAT0: battery("Discharging") }))).toBe(true)
  expect(batteryOfLinux(machine({ AC: mains, BAT0: battery("Full"), BAT1: battery("Discharging") }))).toBe(true)
  expect(batteryOfLinux(machine({ AC: mains, BAT0: battery("Charging") }))).toBe(false)
  expect(batteryOfLinux(machine({ AC: mains }))).toBe(null)
  expect(batteryOfLinux(machine({ mouse: { ...battery("Discharging"), scope: "Device" } }))).toBe(null)
  expect(batteryOfLinux(join(folder, "missing"))).toBe(null)
})
