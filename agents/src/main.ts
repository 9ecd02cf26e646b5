// The process: `node dist/main.js voice|avatar|echo [video]`. It can be told to stop from its first moment on.

// Whoever is the first process of a container has no default for signals: one that comes while it boots, for two seconds, would be lost.
const SIGNALS = ['SIGTERM', 'SIGINT'] as const
const tooEarly = () => process.exit(0)
for (const signal of SIGNALS) process.on(signal, tooEarly)
const { stop } = await import('./serve.ts')
for (const signal of SIGNALS) process.off(signal, tooEarly).on(signal, stop)
