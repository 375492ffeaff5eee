/**
 * Accuracy by groups of pictures (WILDS, Dollar Street, GeoDE), as datacomp's evaluators compute it. Groups are numbers in
 * the pictures' metadata; those without pictures are listed with null, and do not count for the worst group.
 */
import { UserError } from "../../core/errors.ts"
import type { GroupMetrics } from "../suite/suite-task.ts"
import { accuracyAt, macroF1, meanPerClassRecall } from "./classification.ts"
import type { Metrics } from "./metrics.ts"
import { hitsAt, type Predictions } from "./predictions.ts"

/** For each picture a row of numbers, of which each row of the suite knows the columns. */
export type Metadata = readonly (readonly number[])[]

/** More groups than any of the suite's data have; larger numbers are not groups. */
const mostGroups = 10_000

/** FMoW's region "Other": four pictures of its test split. The reference means to leave it out and does not. */
const otherRegion = 5

/** @throws UserError where metadata are missing or are not numbers of groups */
export function groupMetrics(
  kind: Exclude<GroupMetrics, "fairface">,
  predictions: Predictions,
  metadata: Metadata | null,
): Metrics {
  const hits = () => hitsAt(predictions, 1)
  switch (kind) {
    case "iwildcam":
      return {
        acc_avg: accuracyAt(predictions, 1),
        "recall-macro_all": meanPerClassRecall(predictions),
        "F1-macro_all": macroF1(predictions),
      }
    case "camelyon17":
      return accuracyByGroup("acc", hits(), needed(metadata), ["hospital", "slide", "y"], ["slide"])
    case "fmow":
      return fmowMetrics(hits(), needed(metadata))
    case "dollar_street":
      return accuracyByGroup(
        "acc_top5",
        hitsAt(predictions, 5),
        needed(metadata),
        ["income_ds", "income_meta", "region"],
        ["income_ds"],
      )
    case "geode":
      return accuracyByGroup("acc", hits(), needed(metadata), ["region", "country"], ["region"])
    default:
      return kind satisfies never
  }
}

/** The lowest accuracy over FMoW's regions but "Other"; from `acc_region:N`, also those of a published file. Null without regions. */
export function worstRegionWithoutOther(metrics: Metrics): number | null {
  const regions = Object.entries(metrics).flatMap(([name, value]) => {
    const region = /^acc_region:(\d+)$/.exec(name)?.[1]
    return region !== undefined && Number(region) !== otherRegion && value !== null ? [value] : []
  })
  return regions.length === 0 ? null : Math.min(...regions)
}

function fmowMetrics(hits: Uint8Array, metadata: Metadata): Metrics {
  const fields = ["region", "year", "y"] as const
  const { acc_wg: acc_worst_year, ...byYear } = accuracyByGroup("acc", hits, metadata, fields, ["year"])
  const {
    acc_wg: acc_worst_region,
    acc_avg: _,
    ...byRegion
  } = accuracyByGroup("acc", hits, metadata, fields, ["region"])
  const others = { acc_worst_region_without_other: worstRegionWithoutOther(byRegion) }
  return { ...byYear, acc_worst_year: acc_worst_year!, ...byRegion, acc_worst_region: acc_worst_region!, ...others }
}

function needed(metadata: Metadata | null): Metadata {
  if (metadata) return metadata
  throw new UserError(
    "the pictures have no metadata, which say their groups",
    "each sample needs an .npy beside its picture",
  )
}

/**
 * The share of hits of all pictures, of each group, and of the worst group: `<metric>_avg`, then `<metric>_<field>:<group>`
 * and `count_<field>:<group>` for each group, then `<metric>_wg`.
 * @param hits 1 or 0 for each picture
 * @param fields names of the metadata's columns
 * @param groupFields those whose combinations are the groups; the first varies fastest
 * @throws UserError for metadata that are not numbers of groups
 */
export function accuracyByGroup<Field extends string>(
  metric: string,
  hits: Uint8Array,
  metadata: Metadata,
  fields: readonly Field[],
  groupFields: readonly Field[],
): Metrics {
  const columns = groupFields.map((field) => columnOf(metadata, hits.length, fields.indexOf(field), field))
  const sizes = columns.map((column) => column.reduce((a, b) => Math.max(a, b), -1) + 1)
  const groups = sizes.reduce((a, b) => a * b, 1)
  if (groups > mostGroups)
    throw new UserError(`${groups} groups of ${groupFields.join(" and ")}`, `expected ${mostGroups} at most`)
  const [right, counts] = [new Array<number>(groups).fill(0), new Array<number>(groups).fill(0)]
  hits.forEach((hit, picture) => {
    const group = columns.reduceRight((above, column, i) => above * sizes[i]! + column[picture]!, 0)
    right[group]! += hit
    counts[group]!++
  })
  const shares = counts.map((count, group) => (count === 0 ? null : right[group]! / count))
  const name = (group: number) => groupName(groupFields, sizes, group)
  return {
    [`${metric}_avg`]: right.reduce((a, b) => a + b, 0) / hits.length,
    ...Object.fromEntries(
      shares.flatMap((share, group) => [
        [`${metric}_${name(group)}`, share],
        [`count_${name(group)}`, counts[group]!],
      ]),
    ),
    [`${metric}_wg`]: Math.min(...shares.filter((share) => share !== null)),
  }
}

/** `race:0_gender:1`: the field that varies slowest comes first. */
function groupName(fields: readonly string[], sizes: readonly number[], group: number): string {
  let rest = group
  const parts = fields.map((field, i) => {
    const part = `${field}:${rest % sizes[i]!}`
    rest = Math.floor(rest / sizes[i]!)
    return part
  })
  return parts.reverse().join("_")
}

function columnOf(metadata: Metadata, pictures: number, column: number, field: string): number[] {
  if (metadata.length !== pictures) throw new UserError(`${metadata.length} rows of metadata for ${pictures} pictures`)
  return metadata.map((row, picture) => {
    const value = row[column]
    if (value !== undefined && Number.isInteger(value) && value >= 0 && value < mostGroups) return value
    throw new UserError(
      `metadata of picture ${picture + 1}: ${field} (column ${column + 1}) is ${value ?? "missing"}`,
      `expected a whole number from 0 to ${mostGroups - 1}`,
    )
  })
}
