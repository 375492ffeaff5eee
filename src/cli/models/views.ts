/** What `mobileclip models` shows: the family, one member, or towers layer by layer; as data, and as text for people. */
import { findVariant } from "../../core/family/variant-name.ts"
import type { TowerName } from "../../export/towers.ts"
import { describeMember, type Form, family, towerLayers } from "../../train/plan/family.ts"
import { freeReleases } from "../../weights/release-figures.ts"
import { freeText, recommendation } from "../pulling.ts"
import { layersText } from "./layers.ts"
import { memberText } from "./member.ts"
import { familyTable, footnotes, parseColumns, sortMembers, weightsNotes } from "./table.ts"

export interface View {
  /** For `--json`. */
  readonly data: unknown
  text(): string
}

export interface TableOptions {
  /** Names, separated by commas; default: as many as fit. */
  readonly columns?: string
  readonly sort?: string
}

export interface LayerOptions {
  readonly tower: TowerName | "both"
  readonly form: Form
  readonly depth?: number
}

const units = `M: millions of parameters, fused. G: billions of multiply-adds of convolutions and linear layers, batch 1.
IN-1k, avg (of 38 datasets), ms (iPhone 12 Pro Max): published. Other columns: mobileclip models --help`

/** @param width of the terminal, in characters */
export function familyView({ columns, sort }: TableOptions, width: number): View {
  const names = columns ? parseColumns(columns) : undefined
  const members = sort ? sortMembers(family(), sort) : family()
  const notes = names ? "" : [units, recommendation(), weightsNotes(members), footnotes(members)].join("\n\n")
  return { data: members, text: () => [familyTable(members, width, names), notes].filter(Boolean).join("\n\n") }
}

/** What may be used commercially: released weights, with licence, size and published accuracy. */
export function freeView(): View {
  const releases = freeReleases()
  return { data: releases, text: () => freeText(releases) }
}

export function memberView(name: string): View {
  const member = describeMember(findVariant(name))
  return { data: member, text: () => memberText(member) }
}

export function layersView(given: string, { tower, ...options }: LayerOptions): View {
  const name = findVariant(given)
  const towers = towerLayers(name, { ...options, towers: tower === "both" ? ["image", "text"] : [tower] })
  return { data: { name, towers }, text: () => towers.map(layersText).join("\n\n") }
}
