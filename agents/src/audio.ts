// Arithmetic on sound: signed 16-bit samples.

/** Level of samples in dBFS: 0 is a full-scale square wave, silence is -Infinity. */
export function levelOf (samples: Int16Array): number {
  if (samples.length === 0) return -Infinity
  let sum = 0
  for (const sample of samples) sum += sample * sample
  return 10 * Math.log10(sum / samples.length / (32_768 * 32_768))
}
