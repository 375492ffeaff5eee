/**
 * Pillow's affine transform with the nearest neighbour, black outside: the matrix says where the center of an output
 * pixel comes from. Computed in fixed point with 16 fractional bits almost always; in doubles where nothing turns or shears,
 * and where coordinates would not fit.
 */
import type { Matrix } from "../../core/kernels/kernels.ts"
import type { Canvas } from "./canvas.ts"

/** x' = x + m y, about the top left corner. torchvision passes the angle, in degrees. */
export function shearX(canvas: Canvas, m: number): void {
  transform(canvas, [1, Math.tan(radians(degrees(Math.atan(m)))), 0, 0, 1, 0])
}

export function shearY(canvas: Canvas, m: number): void {
  transform(canvas, [1, 0, 0, Math.tan(radians(degrees(Math.atan(m)))), 1, 0])
}

/** To the right and down, by whole pixels: fractions are cut off. */
export function translate(canvas: Canvas, x: number, y: number): void {
  const within = (pixels: number, side: number) => Math.min(Math.max(Math.trunc(pixels), -side), side)
  canvas.shift(within(x, canvas.width), within(y, canvas.height))
}

/** Counter-clockwise about the middle, by `angle` degrees. */
export function rotate(canvas: Canvas, angle: number): void {
  const turn = -radians(((angle % 360) + 360) % 360)
  const [cos, sin] = [round15(Math.cos(turn)), round15(Math.sin(turn))]
  const [x, y] = [canvas.width / 2, canvas.height / 2]
  transform(canvas, [cos, sin, cos * -x + sin * -y + x, -sin, cos, -sin * -x + cos * -y + y])
}

function transform(canvas: Canvas, [a0, a1, a2, a3, a4, a5]: Matrix): void {
  const centerX = a2 + a0 * 0.5 + a1 * 0.5
  const centerY = a5 + a3 * 0.5 + a4 * 0.5
  const straight = a1 === 0 && a3 === 0
  if (straight || !fitsFixed([a0, a1, a2, a3, a4, a5], canvas)) canvas.moveFloat([a0, a1, centerX, a3, a4, centerY])
  else canvas.moveFixed([fixed(a0), fixed(a1), fixed(centerX), fixed(a3), fixed(a4), fixed(centerY)])
}

/** Whether the sources of all four corners have coordinates of 16 bits. */
function fitsFixed([a0, a1, a2, a3, a4, a5]: Matrix, { width, height }: Canvas): boolean {
  const corners = [0, width].flatMap((x) => [0, height].map((y) => [x, y] as const))
  return corners.every(([x, y]) => Math.abs(a0 * x + a1 * y + a2) < 32768 && Math.abs(a3 * x + a4 * y + a5) < 32768)
}

function fixed(value: number): number {
  return Math.floor(value * 65536 + 0.5)
}

function round15(value: number): number {
  return Number(value.toFixed(15))
}

function radians(angle: number): number {
  return (angle * Math.PI) / 180
}

function degrees(angle: number): number {
  return (angle * 180) / Math.PI
}
