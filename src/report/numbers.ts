/** Numbers as reports write them. */

/** A share as a text in percent, with so many digits after the point: one where that is not said. */
export type PercentText = (share: number, digits?: number) => string

/** 0.0834 -> "8.3%" */
export function percent(share: number, digits = 1): string {
  return `${(100 * share).toFixed(digits)}%`
}

/** 12345.6 -> "12,346" */
export function integer(value: number): string {
  return Math.round(value).toLocaleString("en")
}

/** 7.4 s, 48 s, 3 min 20 s, 2 h 05 min */
export function durationText(seconds: number): string {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`
  const rounded = Math.round(seconds)
  if (rounded < 60) return `${rounded} s`
  if (rounded < 3600) return `${Math.floor(rounded / 60)} min ${String(rounded % 60).padStart(2, "0")} s`
  const minutes = Math.round(rounded / 60)
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`
}

/** 335/s, 6.2/s, 12/min */
export function rateText(perSecond: number): string {
  if (perSecond >= 10) return `${Math.round(perSecond)}/s`
  if (perSecond >= 1) return `${perSecond.toFixed(1)}/s`
  return `${(perSecond * 60).toFixed(perSecond * 60 < 10 ? 1 : 0)}/min`
}

/** -0.04 -> "0.0", and not "-0.0" */
export function decimal(value: number, digits: number): string {
  return value.toFixed(digits).replace(/^-(?=[0.]*$)/, "")
}
