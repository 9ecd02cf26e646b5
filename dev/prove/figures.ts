// What many numbers come to: their middle, the value that a share of them stays below, and how they grow.

/** The middle one, of an even number the upper of the two in the middle; undefined of none. */
export function median (numbers: number[]): number {
  return [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)]!
}

/** The value below which `share` of the numbers are; NaN of none. */
export function percentile (numbers: number[], share: number): number {
  return [...numbers].sort((a, b) => a - b)[Math.max(0, Math.ceil(numbers.length * share) - 1)] ?? NaN
}

/** By how much `y` grows with each unit of `x`, by least squares, and how sure that is: the standard error of it. */
export function slope (points: Array<{ x: number, y: number }>): { slope: number, error: number } {
  const n = points.length
  const meanX = points.reduce((sum, { x }) => sum + x, 0) / n
  const meanY = points.reduce((sum, { y }) => sum + y, 0) / n
  const spread = points.reduce((sum, { x }) => sum + (x - meanX) ** 2, 0)
  const rise = points.reduce((sum, { x, y }) => sum + (x - meanX) * (y - meanY), 0) / spread
  const left = points.reduce((sum, { x, y }) => sum + (y - meanY - rise * (x - meanX)) ** 2, 0)
  return { slope: rise, error: Math.sqrt(left / (n - 2) / spread) }
}
