// Figures of a run: printed for people, kept as lines `name: median ... worst ...` that the README quotes.

/** The middle value; the higher of the two middle ones for an even count. */
export function median (values: number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!
}

/** Prints median and worst of some milliseconds, and the values. */
export function printFigures (name: string, values: number[]): void {
  const sorted = values.map(Math.round).sort((a, b) => a - b)
  console.log(`${name}: median ${Math.round(median(values))} ms, worst ${sorted.at(-1)} ms, n ${values.length} (${sorted.join(' ')})`)
}
