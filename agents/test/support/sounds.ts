// Sounds that are no speech, made by arithmetic: the same on every run.

/** Noise between -1 and 1 that is the same for the same seed. */
export function noise (seed = 1): () => number {
  let state = seed
  return () => {
    // The generator of Numerical Recipes.
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 31 - 1
  }
}

/** A cough: a burst of noise through the resonances of an open throat, then a weaker one. */
export function cough (rate: number): Int16Array {
  const random = noise(7)
  const samples = new Float64Array(Math.round(0.5 * rate))
  const resonances = [600, 1300, 2600].map((frequency) => ({ a: 2 * 0.97 * Math.cos(2 * Math.PI * frequency / rate), b: 0.97 ** 2, y1: 0, y2: 0 }))
  for (let i = 0; i < samples.length; i++) {
    const t = i / rate
    const loud = t < 0.02 ? t / 0.02 : t < 0.25 ? Math.exp(-(t - 0.02) * 14) : t < 0.27 ? (t - 0.25) * 25 : 0.5 * Math.exp(-(t - 0.27) * 18)
    const source = random() * loud
    for (const filter of resonances) {
      const y = source + filter.a * filter.y1 - filter.b * filter.y2
      filter.y2 = filter.y1
      filter.y1 = y
      samples[i]! += y
    }
  }
  const peak = samples.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
  return Int16Array.from(samples, (value) => value / peak * 16_000)
}

/** Chords of a slow tune with overtones, a beat and a falling loudness: no voice in it. */
export function music (rate: number, seconds: number): Int16Array {
  const chords = [[220, 277.2, 329.6], [196, 246.9, 293.7], [174.6, 220, 261.6], [196, 246.9, 329.6]]
  const random = noise(11)
  return Int16Array.from({ length: Math.round(rate * seconds) }, (_, i) => {
    const t = i / rate
    const within = t % 0.5
    const tones = chords[Math.floor(t / 2) % chords.length]!.reduce((sum, frequency) => sum + [1, 0.5, 0.25].reduce((all, part, overtone) => all + part * Math.sin(2 * Math.PI * frequency * (overtone + 1) * t), 0), 0)
    return 2500 * tones * Math.exp(-within * 3) + (within < 0.03 ? 3000 * random() : 0)
  })
}

const loudness = (samples: Int16Array): number => Math.sqrt(samples.reduce((sum, value) => sum + value * value, 0) / Math.max(1, samples.length))

/** Samples as loud as `like`, and `decibels` more. */
export function levelled (samples: Int16Array, like: Int16Array, decibels: number): Int16Array {
  const factor = loudness(like) / Math.max(1, loudness(samples)) * 10 ** (decibels / 20)
  return samples.map((value) => clipped(value * factor))
}

/** Two sounds at once, as long as the first. */
export function mixed (first: Int16Array, second: Int16Array): Int16Array {
  return first.map((value, i) => clipped(value + (second[i] ?? 0)))
}

/** Samples with white noise on them that is `decibels` louder (quieter when below 0). */
export function noiseAt (samples: Int16Array, decibels: number): Int16Array {
  const random = noise(5)
  return mixed(samples, levelled(samples.map(() => random() * 10_000), samples, decibels))
}

function clipped (value: number): number {
  return Math.max(-32_768, Math.min(32_767, Math.round(value)))
}

/** "Mhm": two hummed notes with the mouth closed, the second one rising. */
export function hum (rate: number): Int16Array {
  let phase = 0
  return Int16Array.from({ length: Math.round(0.62 * rate) }, (_, i) => {
    const t = i / rate
    const pitch = t < 0.25 ? 125 - 40 * t : 112 + 110 * (t - 0.33)
    phase += 2 * Math.PI * pitch / rate
    const loud = t < 0.25 ? Math.sin(Math.PI * t / 0.25) ** 0.5 : t < 0.33 ? 0.02 : Math.sin(Math.PI * (t - 0.33) / 0.29) ** 0.5
    let sum = 0
    // A nasal's one strong resonance is near 250 Hz.
    for (let n = 1; n <= 20; n++) sum += Math.sin(n * phase) * (1 / (1 + ((n * pitch - 250) / 90) ** 2) + 0.04 / (1 + ((n * pitch - 1100) / 200) ** 2) + 0.02 / (1 + ((n * pitch - 2300) / 300) ** 2))
    return 9000 * loud * sum
  })
}
